"""Which trial ran in which slot."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.sweep.report import timeline
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import NOW, Written, make_study


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_no_two_trials_are_in_one_slot_at_once(tmp_path_factory, spans):
    trials = [Written(value=0.5, started=float(start), seconds=float(length)) for start, length in spans]
    study = read_study(make_study(tmp_path_factory.mktemp("s"), trials, journal=False), NOW)
    slots = timeline.slots(study)
    for one in study.trials:
        for other in study.trials:
            if one.number < other.number and slots[one.number] == slots[other.number]:
                assert one.ended <= other.started or other.ended <= one.started
    busy = max(sum(start <= at < start + length for start, length in spans) for at in range(71))
    assert max(slots.values()) == busy


def test_the_controllers_own_slots_are_kept(tmp_path):
    trials = [Written(value=0.5, slot=3), Written(value=0.5, slot=1, started=99)]
    assert timeline.slots(read_study(make_study(tmp_path, trials), NOW)) == {0: 4, 1: 2}


def test_a_study_in_which_nothing_has_started_has_no_timeline(tmp_path):
    assert timeline.timeline(read_study(make_study(tmp_path, [], journal=False), NOW)) is None
