"""Which trial ran in which slot."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.runs.files import read_json, write_json
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


def test_a_trial_that_pauses_holds_its_slot_until_its_last_report_before_the_pause(tmp_path):
    study = make_study(tmp_path, [Written(value=0.5, started=100.0, seconds=60.0), Written(value=0.6, started=110.0)])
    folder = study / "trials" / "0"
    (job,) = read_json(folder / "job.json")
    start = job["submitted"]
    write_json(
        folder / "job.json",
        [job | {"end": "paused", "slot": 0}, job | {"slot": 2, "submitted": start + 40, "end": None}],
    )
    times = (5, 12, 50)
    lines = [{"point": n, "value": 0.5, "seen": None, "time": start + time} for n, time in enumerate(times)]
    (folder / "reports.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    read = read_study(study, NOW)
    assert [(slot, begin - start) for slot, begin, _ in read.trials[0].stints] == [(0, 0), (2, 40)]
    assert read.trials[0].stints[0].end == start + 12 and read.trials[0].stints[1].end == read.trials[0].ended
    assert read.trials[1].stints == ()
    (drawn,) = timeline.timeline(read)["data"]
    assert list(zip(drawn["customdata"], drawn["y"], strict=True)) == [(0, 1), (0, 3), (1, 2)]


def test_a_study_in_which_nothing_has_started_has_no_timeline(tmp_path):
    assert timeline.timeline(read_study(make_study(tmp_path, [], journal=False), NOW)) is None
