"""Signals that ask a run to stop: noticed at once, obeyed when somebody looks, and by submitit's handler at the end."""

import os
import signal
import time

import pytest

from mcqa.runs import signals
from mcqa.runs.signals import Watch
from mcqa.runs.trial import Preempted


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # until the interpreter runs the handler


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_waits_until_somebody_looks(number):
    with Watch() as watch:
        send(number)
        assert signals.watch() is watch and watch.asked == number.name
        with pytest.raises(Preempted, match=f"Stopped by {number.name}"):
            watch.check()


def test_a_second_signal_stops_at_once():
    with Watch() as watch:
        send(signal.SIGUSR2)
        with pytest.raises(Preempted):
            send(signal.SIGTERM)
        assert watch.asked == "SIGTERM"


def test_where_nobody_looks_the_first_one_stops_at_once_too():
    with Watch(), signals.defer_signals(deferring=False):
        with signals.defer_signals():
            pass
        with pytest.raises(Preempted):
            send(signal.SIGTERM)


def test_who_was_asked_before_is_stopped_where_nobody_looks():
    with Watch():
        send(signal.SIGTERM)
        with pytest.raises(Preempted), signals.defer_signals(deferring=False):
            pytest.fail("went on")


def test_the_end_of_a_run_is_not_disturbed():
    with Watch() as watch, signals.defer_signals(deferring=False):
        watch.over()
        send(signal.SIGTERM)
        send(signal.SIGTERM)


def test_the_handlers_before_are_put_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)]
    with Watch():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)] == before
    assert signals.watch().asked is None


@pytest.fixture
def called():
    """What submitit's handlers were called with: one requeues, the other does nothing."""
    calls = []
    numbers = (signal.SIGUSR2, signal.SIGTERM)
    before = [signal.signal(number, lambda got, frame: calls.append(got)) for number in numbers]
    yield calls
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR2, [signal.SIGUSR2]), (signal.SIGTERM, [])])
def test_submitit_requeues_after_its_own_signal_when_all_is_saved_and_not_after_another(number, requeued, called):
    with Watch() as watch:
        send(number)
        assert not called
        watch.requeue()
    assert called == requeued


def test_a_site_s_own_signal_for_submitit_counts(monkeypatch):
    monkeypatch.setenv("SUBMITIT_PREEMPT_SIGNAL", "USR1")
    with Watch() as watch:
        send(signal.SIGUSR1)
        assert watch.asked == "SIGUSR1"
