"""The page: complete in one file, nothing of a study taken for HTML, and pictures that plotly accepts."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.sweep.report import charts, confirmation, page, parallel_coordinates, timeline, write
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.page import ReportData
from mcqa.sweep.report.ties import study_result
from tests.sweep.optuna_study.example_studies import BASE as EXAMPLE_BASE
from tests.sweep.optuna_study.example_studies import CORE, core
from tests.sweep.report.recorded_studies import NOW, Written, exactly, make_study

VOID = {"meta", "input", "br", "wbr"}
EVIL = """</script><script>alert('x')</script><b>"'&amp; ${a} $x %s 漢字"""


class Tags(HTMLParser):
    """Counts elements and texts; every element that is opened must be closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.count, self.open, self.texts = Counter(), [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


def told(folder, importances=None):
    study = read_study(folder, NOW)
    found = study_result(study)
    problems = [*study.problems, *found.problems]
    return ReportData(study, found, importances or {}, confirmation.read_confirmation(study, problems), tuple(problems))


def figures(text):
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])


def coloured(value):
    """As the page's script does it."""
    if isinstance(value, str) and value.startswith("var("):
        return "#123456"
    if isinstance(value, list):
        return [coloured(one) for one in value]
    return {key: coloured(one) for key, one in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Complete, pruned, failed and running trials of six parameters."""
    root = tmp_path_factory.mktemp("example")
    return told(
        make_study(root, core(40, 4, questions=60), space=CORE, base=EXAMPLE_BASE), {"dev/acc": {"peft.rank": 1.0}}
    )


def test_the_page_has_all_that_was_asked_for(example):
    tags = Tags(page.page(example, "PLOTLY"))
    assert tags.count["h1"] == 1
    assert {
        "Best configuration", "Ties", "Importances", "History of dev/acc (%)", "dev/acc (%) by parameter",
        "Parallel coordinates", "Reports on the way, and what was pruned", "Slots over time", "Failures", "Trials",
    } <= set(tags.texts)  # fmt: skip
    assert tags.texts.count("PLOTLY") == 1


def test_nothing_is_loaded_from_anywhere(example):
    text = page.page(example, None)
    for outside in ("src=", "@import", "<link", "url(", "fetch(", "http"):
        assert outside not in text


def test_plotly_accepts_every_picture(example):
    found = figures(page.page(example, "PLOTLY"))
    assert {"history0", "parallel", "parallel_phone", "curves", "timeline", "slice0_0", "slice0_5"} <= set(found)
    for figure in found.values():
        assert go.Figure(coloured(figure)).data


def test_every_place_for_a_picture_has_one(example):
    text = page.page(example, "PLOTLY")
    places = re.findall(r'data-(?:figure|narrow)="(\w+)"', text)
    assert sorted(places) == sorted(figures(text))


def test_without_plotly_there_are_still_all_tables(example):
    text = page.page(example, None)
    assert "plotly is not installed" in text and figures(text) == {}
    assert Tags(text).count["table"] == 4


def test_what_comes_from_a_study_stays_text(tmp_path):
    trials = [Written(right=exactly(30, 40, i), params={"scheduler": EVIL}) for i in range(3)]
    trials += [Written("failed", error=EVIL + "\n" + EVIL, params={"scheduler": EVIL})]
    folder = make_study(
        tmp_path, trials, name="evil", space={"scheduler": "x"}, metric="dev/acc", base={"scheduler": {"name": EVIL}},
        journal=False,
    )  # fmt: skip
    for i in range(4):
        (folder / f"trials/{i}/overrides.yaml").write_text(json.dumps([f"scheduler={EVIL}"]))
    text = page.page(told(folder), "PLOTLY")
    tags = Tags(text)
    assert (
        tags.count["script"] == 3
        and tags.count["b"] == len(charts.roles(read_study(folder, NOW), told(folder).answer)) * 2
    )
    assert "<script>alert" not in text
    assert any(EVIL in one for one in tags.texts)


def test_many_trials_stay_a_page(tmp_path):
    reports = [(point, 0.5) for point in range(8)]
    trials = [
        Written("complete" if i % 7 else "pruned", (i % 97) / 100, reports=reports, started=i) for i in range(700)
    ]
    folder = make_study(tmp_path, trials, journal=False)
    assert len(page.page(told(folder), "")) < 700 * 1000


def test_a_phone_shows_only_the_first_trials_at_once(example):
    text = page.page(example, None)
    assert text.count("class=rest") >= 40 - 25
    assert "Show all 40 trials" in text


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_every_started_trial_has_one_role(example):
    roles = charts.roles(example.study, example.answer)
    numbers = [trial.number for trials in roles.values() for trial in trials]
    assert sorted(numbers) == [trial.number for trial in example.study.trials if trial.status != "waiting"]
    assert [trial.number for trial in roles["best"]] == [example.answer.best.number]
    assert {trial.number for trial in roles["tied with the best"]} == set(example.answer.tied)


def test_a_trial_without_a_final_value_stands_below_all_that_have_one(example):
    data = charts.history(example.study, example.answer)["data"]
    by_trial = {number: y for one in data for number, y in zip(one.get("customdata", []), one["y"], strict=False)}
    complete = {trial.number for trial in example.study.complete}
    assert max(y for number, y in by_trial.items() if number not in complete) < min(by_trial[one] for one in complete)


def test_a_parameter_on_a_log_scale_is_drawn_on_one(example):
    slices = dict(charts.slices(example.study, example.answer, example.order))
    assert slices["optimizer.learning_rate"]["layout"]["xaxis"]["type"] == "log"
    assert "type" not in slices["optimizer.weight_decay"]["layout"]["xaxis"]
    assert slices["scheduler"]["layout"]["xaxis"]["ticktext"] == ["cosine", "linear", "constant"]


@given(st.floats(-8, 3), st.floats(0.01, 8))
@settings(max_examples=80, deadline=None)
def test_a_log_axis_has_some_ticks_and_not_too_many(low, decades):
    ends = 10**low, 10 ** (low + decades)
    ticks = [tick for tick in charts.log_ticks(*ends) if ends[0] <= tick <= ends[1]]
    assert len(ticks) <= 8
    assert len(ticks) >= 2 or decades < 0.48  # as from 1.1 to 2.9: the ends, rounded


def test_lines_of_parallel_coordinates_end_at_the_values(example):
    data = parallel_coordinates.figure(example.study, example.answer, example.order, upright=True)["data"]
    places = {n: y for one in data for n, x, y in zip(one["customdata"], one["x"], one["y"], strict=True) if x == 6}
    best = example.answer.best.number
    assert places[best] == 1.0 and min(places.values()) == 0.0
    order = sorted(example.study.complete, key=lambda trial: trial.values[0])
    assert [places[trial.number] for trial in order] == sorted(places[trial.number] for trial in order)


def test_pruned_curves_end_where_the_trial_last_reported(example):
    data = charts.curves(example.study, example.answer)["data"]
    ends = next(one for one in data if one["mode"] == "markers")
    pruned = {trial.number: trial for trial in example.study.trials if trial.status == "pruned"}
    assert dict(zip(ends["customdata"], ends["x"], strict=True)) == {n: one.reports[-1][0] for n, one in pruned.items()}


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
    study = read_study(make_study(tmp_path, [Written(value=0.5, slot=3), Written(value=0.5, slot=1, started=99)]), NOW)
    assert timeline.slots(study) == {0: 4, 1: 2}


def test_a_page_that_cannot_be_made_costs_no_other_file(tmp_path, monkeypatch):
    folder = make_study(tmp_path, [Written(value=0.5)])
    monkeypatch.setattr(write, "page", lambda *_: 1 / 0)
    summary = write.write_report(folder)
    assert "report.html could not be made: ZeroDivisionError" in summary.problems[-1]
    assert (folder / "trials.csv").exists() and not (folder / "report.html").exists()
