"""Charts show the numbers that the metrics name, readably, and leave out what was not measured."""

import html
import math
import random
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from mcqa.data.question import Question
from mcqa.evaluation.calibration import expected_calibration_error, reliability_bins, risk_coverage
from mcqa.evaluation.option_order import order_metrics, orders_to_measure
from mcqa.evaluation.predictions import OptionOrder, Prediction
from mcqa.evaluation.report import charts
from mcqa.evaluation.report.charts import title
from mcqa.evaluation.report.charts.confidence import reliability_figure, risk_coverage_figure
from mcqa.evaluation.report.charts.option_order import letters_figure, orders_figure
from mcqa.evaluation.report.charts.style import save, svg
from mcqa.evaluation.report.charts.training import Curves, choices_only_figure, curve_figures, subjects_figure
from mcqa.evaluation.report.tables import subjects

PNG = b"\x89PNG"
LOGGED = [
    {"step": 1, "train/loss": 2.0, "learning_rate": 0.0, "grad_norm": 3.0},
    {"step": 2, "train/loss": 1.5, "dev/loss": 1.7, "dev/acc": 0.5, "dev/acc_ci_low": 0.4, "dev/acc_ci_high": 0.6}
    | {"learning_rate": 1e-3, "grad_norm": 0.7},
    {"step": 4, "dev/loss": 1.8, "dev/acc": 0.5},
]
TEST = {"base/test/acc": 0.25, "base/test/acc_ci_low": 0.2, "base/test/acc_ci_high": 0.3}
TEST |= {"test/acc": 0.45, "test/acc_ci_low": 0.4, "test/acc_ci_high": 0.5}
CURVE_NAMES = {"loss", "accuracy", "learning_rate", "gradient_norm"}
CURVES = Curves(LOGGED, TEST | {"base/dev/loss": 2.2, "base/dev/acc": 0.3}, chance=0.25, clipped_above=1.0)


def measured(n=40, choices=4, orders="cyclic", subject="", seed=0):
    """Questions answered with some knowledge and a preference for the first letters, in several orders."""
    chance = random.Random(seed)
    rows = []
    for i in range(n):
        answer = chance.randrange(choices)
        known = [chance.gauss(0, 1) + 1.5 * (choice == answer) for choice in range(choices)]
        plan = orders_to_measure(choices, orders, f"q{i}")
        found = tuple(OptionOrder(o, tuple(known[c] - 0.4 * letter for letter, c in enumerate(o))) for o in plan)
        question = Question(f"q{i}", "?", tuple("abcdef"[:choices]), answer, subject=subject)
        alone = tuple(chance.gauss(0, 1) for _ in range(choices))
        rows.append(Prediction(question, found[0].scores, (1,) * choices, True, choices_only=alone, orders=found))
    return rows


BROKEN = Prediction(Question("n", "?", ("a", "b"), 0), (math.nan, -1.0), (1, 1), choices_only=(math.nan,) * 2)
FIGURES = {
    "reliability": lambda: reliability_figure(measured(), 2.0),
    "risk_coverage": lambda: risk_coverage_figure({f"model {i}": measured(seed=i) for i in range(9)}),
    "long labels": lambda: risk_coverage_figure({("name_of_a_run_" * 5)[:60]: measured(), "n" * 25: measured()}),
    "letters": lambda: letters_figure(measured()),
    "orders": lambda: orders_figure(measured()),
    "choices_only": lambda: choices_only_figure(measured(), "auto"),
    "subjects": lambda: subjects_figure(measured(subject="zoology"), measured(subject="zoology", seed=1), "auto"),
    "loss": lambda: curve_figures(CURVES)["loss"],
    "accuracy": lambda: curve_figures(CURVES)["accuracy"],
    "learning_rate": lambda: curve_figures(CURVES)["learning_rate"],
    "gradient_norm": lambda: curve_figures(CURVES)["gradient_norm"],
}
every_figure = pytest.mark.parametrize("figure", [made() for made in FIGURES.values()], ids=list(FIGURES))


def points(axes):
    """What is drawn as round markers: (x, y) of each."""
    return [(x, y) for line in axes.lines if line.get_marker() == "o" for x, y in line.get_xydata().tolist()]


@every_figure
def test_axes_are_labelled_and_legends_cover_no_data(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert figure.get_supxlabel() or all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel() or any(label.get_text() for label in figure.axes[0].get_yticklabels())
    assert not any(axes.get_legend() for axes in figure.axes)
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert figure.bbox.containsx(box.x0) and figure.bbox.containsx(box.x1)


@pytest.mark.parametrize("made", FIGURES.values(), ids=list(FIGURES))
def test_an_svg_is_well_formed_the_same_for_the_same_numbers_and_keeps_words_as_words(made):
    figure = made()
    text = svg(figure)
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert text == svg(made())
    assert html.escape(figure.legends[0].get_texts()[0].get_text(), quote=False) in text


def test_a_name_with_dollar_signs_is_no_formula():
    figure = subjects_figure(measured(subject="$\\frac$"), measured(subject="$\\frac$", seed=1), "auto")
    assert "$\\frac$" in svg(figure)


@pytest.mark.parametrize(
    "subject", ["_", "\\", "😀", "new\nline", "s" * 5000, "<script>alert(1)</script>", "a|b", "\x1b[31m", "x^$ $"]
)
def test_an_odd_name_is_drawn_as_a_short_label(tmp_path, subject, recwarn):
    rows = measured(subject=subject)
    (label,) = subjects_figure(rows, rows, "auto").axes[0].get_yticklabels()
    assert label.get_text().endswith(" (40)") and len(label.get_text()) < 50 and label.get_text().isprintable()
    charts.save_training_charts(tmp_path, CURVES, rows, rows, "auto")
    assert (tmp_path / "subjects.png").read_bytes().startswith(PNG)
    assert ElementTree.fromstring(svg(subjects_figure(rows, rows, "auto"))).tag.endswith("svg")
    assert not recwarn.list


def test_of_very_many_subjects_the_largest_are_drawn():
    rows = [row for n in range(99) for row in measured(2 + n // 50, subject=f"s{n}")]
    figure = subjects_figure(rows, rows, "auto")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 60 and sum(label.endswith("(3)") for label in labels) == 49
    assert figure.axes[0].get_xlabel().endswith("; the largest 60 of 99 subjects")


def test_the_chart_of_subjects_has_the_intervals_of_the_table_beside_it():
    """Which account for related questions."""
    rows = [
        replace(row, question=replace(row.question, cluster=f"fact {i // 4}"))
        for i, row in enumerate(measured(subject="zoology"))
    ]
    (law,) = subjects(rows, "auto")
    drawn = [line.get_xdata().tolist() for line in subjects_figure(rows, rows, "auto").axes[0].lines]
    assert [law["acc_ci_low"], law["acc_ci_high"]] in drawn
    assert [law["acc_ci_low"], law["acc_ci_high"]] not in [
        line.get_xdata().tolist() for line in subjects_figure(rows, rows, "none").axes[0].lines
    ]


def test_everything_that_was_measured_is_drawn_under_its_name(tmp_path):
    rows, folder = measured(subject="zoology"), tmp_path / "pictures"
    charts.save_evaluation_charts(folder, "test", rows, "auto", None, base=rows)
    charts.save_training_charts(folder, CURVES, rows, rows, "auto")
    named = {f"{name}_test.png" for name in ("reliability", "risk_coverage", "letters", "orders", "choices_only")}
    assert {path.name for path in folder.iterdir()} == named | {"subjects.png"} | {
        f"{name}.png" for name in CURVE_NAMES
    }
    assert all(path.read_bytes().startswith(PNG) for path in folder.iterdir())


def test_what_was_not_measured_is_not_drawn(tmp_path):
    alone = [Prediction(row.question, row.scores, row.tokens) for row in measured(4)]
    charts.save_evaluation_charts(tmp_path, "one_order", alone, "auto", None)
    charts.save_evaluation_charts(tmp_path, "different_orders", measured(4) + measured(4, choices=3), "auto", None)
    charts.save_evaluation_charts(tmp_path, "some_asked", [*measured(4), *alone], "auto", None)
    charts.save_training_charts(tmp_path, CURVES, alone, alone, "auto")
    drawn = {path.stem for path in tmp_path.iterdir()}
    always = {
        f"{name}_{of}"
        for name in ("reliability", "risk_coverage")
        for of in ("one_order", "different_orders", "some_asked")
    }
    letters = {"letters_different_orders", "choices_only_different_orders", "letters_some_asked"}
    assert drawn == always | letters | CURVE_NAMES


def test_scores_that_are_not_numbers_are_drawn_as_wrong_answers():
    rows = [*measured(5), BROKEN]
    assert (0.5, 0.0) in points(reliability_figure([BROKEN], 3.0).axes[0])
    assert svg(letters_figure(rows))
    assert svg(risk_coverage_figure({"one": [BROKEN]}))
    assert svg(choices_only_figure(rows, "auto"))


def test_the_reliability_diagram_shows_the_bins_before_and_after_scaling():
    rows = measured(200)
    figure = reliability_figure(rows, 2.5)
    assert len(figure.axes) == 4
    assert len(reliability_figure(rows, None).axes) == 2
    for temperature, above, below in zip((1.0, 2.5), figure.axes[:2], figure.axes[2:], strict=True):
        bins = reliability_bins(rows, temperature)
        assert points(above) == [(one.confidence, one.accuracy) for one in bins]
        assert [bar.get_height() for bar in below.patches] == [one.n for one in bins]
        assert f"{expected_calibration_error(rows, temperature):.3f}" in above.get_title()


def test_the_risk_of_the_first_questions_is_not_drawn():
    rows = measured(30)
    (line,) = risk_coverage_figure({"base": rows}).axes[0].lines
    assert [tuple(point) for point in line.get_xydata()] == risk_coverage(rows)[9:]


def test_the_chart_of_orders_shows_each_order_and_both_corrected_accuracies():
    rows = measured(50)
    axes = orders_figure(rows).axes[0]
    found = order_metrics(rows)
    shown = [x for x, _ in points(axes)]
    assert (min(shown), max(shown), len(shown)) == (found["acc_orders_min"], found["acc_orders_max"], 4)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ABCD", "BCDA", "CDAB", "DABC"]
    lines = {line.get_label(): line.get_xdata()[0] for line in axes.lines}
    assert lines["letters' prior removed"] == found["acc_debiased"]
    assert lines["averaged over orders"] == found["acc_averaged"]


@pytest.mark.parametrize(("n", "expected"), [(1, "on 1 question,"), (2, "on 2 questions,")])
def test_questions_are_counted_in_grammatical_english(n, expected):
    assert expected in choices_only_figure(measured(n), "auto").axes[0].get_xlabel()
    assert expected.rstrip(",") + " (" in orders_figure(measured(n)).axes[0].get_xlabel()


def test_a_hundred_orders_are_drawn_without_names_on_a_page():
    figure = orders_figure(measured(5, choices=5, orders="all"))
    assert len(points(figure.axes[0])) == 120
    assert figure.axes[0].get_yticklabels() == []
    assert figure.get_size_inches()[1] < 10


def test_the_curve_of_accuracy_has_base_guessing_and_the_test_of_the_state_that_dev_chose():
    """Of two equal measurements of dev the first is chosen, whose state is measured on test."""
    axes = curve_figures(CURVES)["accuracy"].axes[0]
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["dev, 95 % interval"] == [[2, 50], [4, 50]]
    assert drawn["base on dev"] == [[0, 30]] and drawn["test, before and after"] == [[2, 45]]
    assert {y for _, y in drawn["guessing"]} == {25}
    assert [[0, 25]] in [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == "D"]


def test_by_loss_the_lowest_is_chosen_and_without_dev_the_last():
    assert replace(CURVES, chosen_by="dev/loss").chosen == 2
    assert replace(CURVES, points=[{"step": 3, "train/loss": 1.0}, {"step": 9, "train/loss": 2.0}]).chosen == 9


def test_the_loss_of_another_objective_is_not_said_to_be_per_token():
    axes = curve_figures(replace(CURVES, objective="choice"))["loss"].axes[0]
    assert axes.get_ylabel() == "loss (nats; dev: per token)"
    assert "train (objective=choice)" in [line.get_label() for line in axes.lines]


def test_what_was_not_logged_has_no_curve():
    assert set(curve_figures(Curves([{"step": 1, "train/loss": 1.0}], {}))) == {"loss"}
    assert curve_figures(Curves([], {})) == {}


@pytest.mark.parametrize("chart", charts.CAPTIONS)
def test_a_picture_has_a_title_that_fits_and_covers_no_data(tmp_path, chart):
    figure = curve_figures(CURVES)["accuracy"]
    save(figure, tmp_path / "picture.png", title(chart, "truthfulqa"))
    (legend,) = figure.legends
    heading = legend.get_title()
    assert heading.get_text().startswith(charts.CAPTIONS[chart][0])
    assert heading.get_window_extent().x0 > 0 and heading.get_window_extent().x1 < figure.bbox.x1
    assert not any(legend.get_window_extent().overlaps(axes.get_window_extent()) for axes in figure.axes)
