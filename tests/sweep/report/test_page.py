"""The page: complete in one file, nothing of a study taken for HTML, and charts that plotly accepts."""

import json
import re
from collections import Counter
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest

from mcqa.sweep.report import charts
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.importances import Importances
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.page import ReportData, page
from mcqa.sweep.report.ties import Estimate, study_result
from tests.sweep.optuna_study.example_studies import BASE as EXAMPLE_BASE
from tests.sweep.optuna_study.example_studies import CORE, core
from tests.sweep.report.recorded_studies import NOW, Written, exactly, make_study, seed_study, trials

VOID = {"meta", "input", "br", "wbr"}
EVIL = """</script><script>alert('x')</script><b>"'&amp; ${a} {{ x }} {% y %} $x %s 漢字"""


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


def report_on(folder, importances=None):
    study = read_study(folder, NOW)
    result = study_result(study)
    problems = [*study.problems, *result.problems]
    return ReportData(study, result, importances or Importances(), read_confirmation(study, problems), tuple(problems))


def figures_in(text):
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])


def coloured(value):
    """As the page's script replaces the names of colours."""
    if isinstance(value, str) and value.startswith("var("):
        return "#123456"
    if isinstance(value, list):
        return [coloured(part) for part in value]
    return {key: coloured(part) for key, part in value.items()} if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Complete, pruned, failed and running trials of six parameters."""
    root = tmp_path_factory.mktemp("example")
    folder = make_study(root, core(40, 4, questions=60), space=CORE, base=EXAMPLE_BASE)
    of = {"peft.rank": Estimate(0.75, 0.4, 0.9), "scheduler": Estimate(0.25, 0.1, 0.6)}
    return report_on(folder, Importances(of, trials=24, matter=("peft.rank",)))


def test_the_page_has_all_sections(example):
    tags = Tags(page(example, "PLOTLY"))
    assert tags.count["h1"] == 1
    assert {
        "Best configuration", "Ties", "Importances", "History of dev/acc (%)", "dev/acc (%) by parameter",
        "Parallel coordinates", "Values at the reported points, and pruning", "Slots over time", "Failures", "Trials",
    } <= set(tags.texts)  # fmt: skip
    assert tags.texts.count("PLOTLY") == 1


def test_nothing_is_loaded_from_elsewhere(example):
    text = page(example, None)
    for outside in ("src=", "@import", "<link", "url(", "fetch(", "http"):
        assert outside not in text


def test_plotly_accepts_every_chart(example):
    figures = figures_in(page(example, "PLOTLY"))
    assert {"history", "parallel", "curves", "timeline", "slice0", "slice5"} <= set(figures)
    for figure in figures.values():
        assert go.Figure(coloured(figure)).data


def test_every_place_for_a_chart_has_one(example):
    text = page(example, "PLOTLY")
    assert sorted(re.findall(r'data-figure="(\w+)"', text)) == sorted(figures_in(text))


def test_without_plotly_there_are_still_all_tables(example):
    text = page(example, None)
    assert "plotly is not installed" in text and figures_in(text) == {}
    assert Tags(text).count["table"] == 5


def test_what_comes_from_a_study_stays_text(tmp_path):
    rows = [Written(right=exactly(30, 40, i), params={"scheduler": EVIL}) for i in range(3)]
    rows += [Written("failed", error=EVIL + "\n" + EVIL, params={"scheduler": EVIL})]
    folder = make_study(
        tmp_path, rows, name="evil", space={"scheduler": "x"}, metric="dev/acc", base={"scheduler": {"name": EVIL}},
        journal=False,
    )  # fmt: skip
    for i in range(4):
        (folder / f"trials/{i}/overrides.yaml").write_text(json.dumps([f"scheduler={EVIL}"]))
    report = report_on(folder)
    text = page(report, "PLOTLY")
    tags = Tags(text)
    assert tags.count["script"] == 3 and tags.count["b"] == len(charts.roles(report.study, report.result)) * 2
    assert "<script>alert" not in text
    assert any(EVIL in shown for shown in tags.texts)


def test_many_trials_stay_a_page(tmp_path):
    reports = [(point, 0.5) for point in range(8)]
    rows = [Written("complete" if i % 7 else "pruned", (i % 97) / 100, reports=reports, started=i) for i in range(700)]
    assert len(page(report_on(make_study(tmp_path, rows, journal=False)), "")) < 700 * 1000


def test_only_the_first_rows_of_a_table_are_shown_at_once(example):
    text = page(example, None)
    assert text.count('class="rest"') >= 40 - 25
    assert "Show all 40 trials" in text


def test_a_confirmation_has_a_table_with_the_differences_from_the_default(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    rows = [
        {
            "trial": trial,
            "default": trial == 0,
            "runs": [{"seed": 1, "value": value}, {"seed": 2, "value": value + 0.01}],
        }
        for trial, value in ((0, 0.5), (1, 0.6))
    ]
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    texts = Tags(page(report_on(folder), None)).texts
    assert {"Confirmed on test", "against the default (95 % CI)", "60.5 %"} <= set(texts)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.6]])
def test_a_study_of_seeds_has_no_best_configuration(tmp_path, values):
    text = page(report_on(seed_study(tmp_path, values)), "PLOTLY")
    assert "Best configuration" not in text and Tags(text).count["h1"] == 1
