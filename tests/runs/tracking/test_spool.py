"""Whatever stands in events.jsonl costs at most its own line."""

import json

import pytest

from mcqa.runs.tracking import spool as spools
from mcqa.runs.tracking.spool import Spool

GOOD = {"ms": 1, "event": "metrics", "step": 1, "values": {"train/loss": 1.5}}


@pytest.fixture
def spool(tmp_path, monkeypatch):
    monkeypatch.setattr(spools, "_warned", set())
    return Spool(tmp_path)


def written(spool, *lines):
    spool.path.write_bytes(b"".join(line + b"\n" for line in lines))
    return [event for _, event in spool.read()]


def line(**changes):
    return json.dumps(GOOD | changes).encode()


ODD = {
    "no JSON": b"once upon a time",
    "half a line": line()[:20],
    "no object": b"[1, 2]",
    "nested without end": b"[" * 100_000,
    "not UTF-8": b'{"ms": 1, "event": "\xff"}',
    "no event": b'{"ms": 1}',
    "an unknown event": line(event="boom"),
    "an event that is no text": line(event=["metrics"]),
    "no time": b'{"event": "finish", "status": "FINISHED"}',
    "a time of another type": line(ms="now"),
    "a time beyond range": line(ms=10**30),
    "a step beyond range": line(step=2**63),
    "no values": b'{"ms": 1, "event": "metrics", "step": 1}',
    "values of another type": line(values=[1]),
    "a value that is no number": line(values={"a": "b"}),
    "a value beyond range": line(values={"a": 10**400}),
    "digits without end": b'{"ms": ' + b"9" * 5000 + b"}",
    "an owner with other keys": line(event="start", run="r", name="n", params={}, tags={}, owner={"who": "me"}),
    "an owner beyond range": line(
        event="start", run="r", name="n", params={}, tags={}, owner={"host": "h", "pid": 10**20, "created": 1.0}
    ),
    "parameters that are none": line(
        event="start", run="r", name="n", params=[], tags={}, owner={"host": "h", "pid": 1, "created": 1.0}
    ),
    "tags that are none": line(event="tags", values="a=b"),
    "a path that leads elsewhere": line(event="artifact", path="../../secrets"),
    "an absolute path": line(event="table", path="/etc/passwd"),
    "no path": line(event="artifact", path=""),
    "an unknown status": line(event="finish", status="WELL"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_line_is_left_out_with_one_warning_that_names_file_and_line(spool, odd, caplog):
    assert written(spool, line(), odd, line(step=2)) == [GOOD, GOOD | {"step": 2}]
    assert spool.read_to == spool.size()
    assert Spool(spool.folder).work() == (None, False, 1)
    (warning,) = caplog.messages
    assert f"{spool.path}, line 2: no event" in warning


def test_zeros_of_a_machine_that_lost_power_and_empty_lines_cost_nothing(spool, caplog):
    assert written(spool, b"\0" * 100 + line(), b"", line(step=2)) == [GOOD, GOOD | {"step": 2}]
    assert not caplog.messages


def test_numbers_that_are_none_and_half_characters_are_kept(spool):
    (event,) = written(spool, b'{"ms": 1, "event": "metrics", "step": 1, "values": {"a": NaN, "b": -Infinity}}')
    assert event["values"]["b"] == -float("inf")
    (event,) = written(spool, b'{"ms": 1, "event": "tags", "values": {"a": "\\ud800"}}')
    assert event["values"] == {"a": "?"}


def test_a_text_that_is_no_unicode_is_written_all_the_same(spool):
    spool.append("tags", values={"path": b"caf\xe9".decode("utf-8", "surrogateescape")})
    assert [event["values"] for _, event in spool.read()] == [{"path": "caf?"}]


def test_a_spool_that_cannot_be_read_is_named(spool, caplog):
    spool.path.mkdir()
    assert list(spool.read()) == [] and spool.work().owner is None
    assert f"{spool.path} cannot be read: Is a directory" in caplog.messages[0] and len(caplog.messages) == 1


def test_events_are_for_their_user_alone(spool):
    spool.append("tags", values={})
    assert spool.path.stat().st_mode & 0o777 == 0o600
