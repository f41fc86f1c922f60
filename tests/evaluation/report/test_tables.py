"""What a run measured in tables and sentences, and that nothing is said of what was not measured."""

import json
import math
import re

import pytest
from rich.console import Console

from mcqa.data.question import Question
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import OptionOrder, Prediction
from mcqa.evaluation.report.formatting import more_seeds, percent, point_interval
from mcqa.evaluation.report.tables import (
    about_seeds,
    accuracy_table,
    begun_from,
    calibration_rows,
    calibration_table,
    details,
    interval,
    subjects,
    verdict,
    what_a_test_finds,
    wrong_answers,
)
from mcqa.evaluation.statistics import mcnemar
from mcqa.evaluation.statistics.seeds import seed_deviation_allowed


def prediction(scores=(-1.0, -2.0), answer=0, extra=None, **changes):
    question = Question(**({"id": "q", "question": "?", "choices": ("a", "b"), "answer": answer} | changes))
    return Prediction(question, tuple(scores), (1,) * len(scores), **(extra or {}))


def said(rows, **options):
    """The sentences about these predictions."""
    found = {f"test/{name}": value for name, value in compute_metrics(rows, **options).items()}
    return list(details(found, "test"))


def about(word, sentences):
    return [sentence for sentence in sentences if word in sentence]


def shown(renderable):
    console = Console(width=100)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


PLAIN = [prediction(), prediction(answer=1), prediction(), prediction()]


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_the_interval_of_an_accuracy_is_among_the_metrics():
    assert interval({"x/acc_ci_low": 0.1, "x/acc_ci_high": 0.256}, "x/acc") == "10.0 – 25.6 %"


def test_the_table_has_a_line_for_each_split_under_its_own_name():
    values = {
        f"{split}/{name}": value
        for split in ("base/test", "test")
        for name, value in compute_metrics(PLAIN if split == "test" else PLAIN[:2]).items()
    }
    lines = shown(accuracy_table(values, {"base/test": "base", "test": "fine-tuned"}, "Accuracy")).splitlines()
    (base,), (tuned,) = ([line for line in lines if name in line] for name in ("base", "fine-tuned"))
    assert "50.0 %" in base and tuned.count("75.0 %") == 2
    assert re.search(r"\b4\b", tuned) and re.search(r"\b2\b", base)
    assert lines[0].startswith("Accuracy") and "first look" not in str(lines)


def test_the_table_says_that_it_is_a_first_look():
    values = {f"test/{name}": value for name, value in compute_metrics(PLAIN).items()}
    looks = {"test": (4, 30)}
    lines = shown(accuracy_table(values, {"test": "fine-tuned"}, "Accuracy on test", looks))
    assert "A first look: 4 of 30 test questions (evaluation.test_limit)." in " ".join(lines.split())


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_a_difference_is_shown_with_its_interval_its_questions_and_its_test():
    paired = mcnemar([False] * 12 + [True] * 8, [True] * 12 + [True] * 7 + [False])
    message = verdict(paired, chance=0.25)
    assert message == (
        "The fine-tuned model is significantly better than the base (+55.0 points, 95 % CI "
        f"{point_interval(paired.low, paired.high)}, p = {paired.p:.4f}, McNemar mid-p test; one seed, so this is "
        "about this run, not its configuration): 12 newly right, 1 newly wrong on the same questions. Guessing gives "
        "25.0 %."
    )


def test_a_run_that_began_from_another_is_compared_with_that_one():
    message = verdict(mcnemar([False] * 12, [True] * 12), 0.25, begun_from("outputs/runs/sft/1"))
    assert message.startswith("The fine-tuned model is significantly better than the run it began from (outputs/runs/")
    assert "than the base (" in verdict(mcnemar([False] * 12, [True] * 12), 0.25, begun_from(None))


def test_position_bias_is_said_before_and_after():
    metrics = {f"test/{name}": value for name, value in compute_metrics(PLAIN).items()}
    shown = {"acc_orders": 0.5, "acc_worst": 0.4, "acc_worst_ci_low": 0.3, "acc_worst_ci_high": 0.5}
    shown |= {"acc_averaged": 0.4, "acc_averaged_ci_low": 0.3, "acc_averaged_ci_high": 0.5}
    after = {f"test/{name}": value for name, value in (shown | {"recall_std": 0.093, "consistency": 0.6}).items()}
    before = {"base/test/recall_std": 0.075, "base/test/consistency": 0.7}
    sentence = (
        "Position bias before and after training: standard deviation of recall between letters 7.5 and 9.3 points; the "
        "same choice under every order 70.0 % and 60.0 %."
    )
    assert sentence in details(metrics | after | before, "test")
    assert not any("Position bias" in line for line in details(metrics | after, "test"))


def test_what_chance_brings_about_is_not_significant():
    message = verdict(mcnemar([True, False, True], [True, True, False]), 0.5)
    assert "1 newly right, 1 newly wrong" in message
    assert message.startswith(
        "No statistically significant difference between the fine-tuned model and the base (0.0 p"
    )
    assert "p = 1.0000, McNemar mid-p test; one seed" in message


def test_a_loss_has_its_sign_and_a_tiny_p_no_zeros():
    message = verdict(mcnemar([True] * 40, [False] * 40), 0.25)
    assert message.startswith("The fine-tuned model is significantly worse than the base (−100.0 points, 95 % CI ")
    assert "p < 0.0001, McNemar mid-p test; one seed" in message


def test_with_clusters_the_test_is_the_one_on_clusters():
    """Ten flips in one direction convince, but not where they are two facts."""
    before, after = [False] * 10 + [True] * 10, [True] * 20
    names = ["a"] * 5 + ["b"] * 5 + [str(n) for n in range(10)]
    alone, together = mcnemar(before, after), mcnemar(before, after, names)
    assert "McNemar mid-p test" in verdict(alone, 0.5) and "is significantly better" in verdict(alone, 0.5)
    message = verdict(together, 0.5)
    assert message.startswith("No statistically significant difference between")
    assert f"p = {together.p_clustered:.4f}, cluster-robust test; one seed" in message
    assert "McNemar" not in message


# --- the sentences ---------------------------------------------------------------------------------------------------


def test_plain_scores_say_nothing_of_what_a_test_of_two_models_would_find():
    assert said(PLAIN) == [f"Brier score {compute_metrics(PLAIN)['brier']:.3f}."]


def test_what_a_test_finds_is_said_of_base_and_fine_tuned_where_it_found_nothing():
    same = mcnemar([True, False] * 100, [True, False, False, True] * 50)
    assert same.p_decisive > 0.05
    assert what_a_test_finds(same) == (
        "Minimum detectable difference between base and fine-tuned (80 % power): "
        f"{100 * same.minimum_detectable_difference:.1f} points."
    )
    assert what_a_test_finds(mcnemar([False] * 20, [True] * 20)) == ""
    assert what_a_test_finds(mcnemar([False], [True])).startswith("These questions are too few")


def test_how_much_seed_variance_a_difference_would_bear_is_said_with_the_command_for_three_seeds():
    clear, noise = mcnemar([False] * 60 + [True] * 60, [True] * 120), mcnemar([True, False], [False, True])
    allowed = seed_deviation_allowed(clear.difference, clear.p, 1)
    command = more_seeds("outputs/runs/my run", 4)
    assert command == "python -m mcqa.train --multirun from_run='outputs/runs/my run' seed=5,6"
    assert more_seeds("run", 0, number=1, order_is_fixed=True).endswith("from_run=run seed=1 order_seed=null")
    assert about_seeds(clear, command) == (
        f"It would stay significant up to a seed standard deviation of {100 * allowed:.1f} points. Three seeds show "
        f"that: {command}"
    )
    assert about_seeds(noise, command) == f"How much other seeds change this, three seeds show: {command}"


def test_the_calibration_of_each_set_is_shown_before_and_after_its_temperature():
    values = {f"dev/{name}": value for name, value in compute_metrics(PLAIN).items()}
    values |= {f"test/{name}": value for name, value in compute_metrics(PLAIN * 9, temperature=2.0).items()}
    alone, tuned, scaled = calibration_rows(values, {"dev": "dev", "test": "fine-tuned"})
    assert (alone[0], tuned[0], scaled[0]) == ("dev", "fine-tuned", "  at temperature 2.00")
    names = ("ece", "ece_if_calibrated", "ece_debiased", "ece_ci_low", "ece_ci_high")
    for end, row in (("", tuned), ("_scaled", scaled)):
        *numbers, low, high = (f"{values[f'test/{name}{end}']:.3f}" for name in names)
        assert row[1:] == [*numbers, f"{low} – {high}"]
    text = shown(calibration_table(values, {"test": "fine-tuned"}, "Calibration"))
    assert "at temperature 2.00" in text and "by chance: that of a perfectly" in " ".join(text.split())


def test_with_a_temperature_of_dev_the_scaled_brier_score_stands_beside():
    found = compute_metrics(PLAIN, temperature=2.0)
    (message,) = about("Brier", said(PLAIN, temperature=2.0))
    assert f"({found['brier_scaled']:.3f} at temperature 2.00, fitted on dev)" in message


def test_clusters_of_related_questions_are_mentioned():
    rows = [prediction(answer=n % 2, cluster="abcdefghij"[n // 2]) for n in range(20)]
    assert "95 % intervals account for 10 clusters of related questions." in said(rows, cluster="auto")
    assert about("clusters", said(rows, cluster="none")) == []


def test_an_interval_of_one_cluster_or_a_few_says_why_it_is_so_wide():
    rows = [prediction(answer=n % 2, subject="law") for n in range(8)]
    message = said(rows, cluster="subject")[0]
    assert message.startswith(
        "All questions are one cluster of related questions, which says nothing about other clusters"
    )
    assert "intervals are 0 to 100 %" in message and "evaluation.cluster=none" in message
    assert about("cluster", said(rows, cluster="auto")) == []
    few = [prediction(answer=n % 2, subject="ab"[n % 2]) for n in range(8)]
    assert said(few, cluster="subject")[0].startswith("2 clusters of related questions say little about other clusters")


def test_each_further_accuracy_is_shown_with_its_interval():
    rows = [prediction(extra={"unconditional": (-3.0, -2.0), "choices_only": (-2.0, -1.0)})] * 2
    found = compute_metrics(rows)
    (mutual,) = about("without the question", said(rows))
    assert mutual.endswith(f"100.0 % ({100 * found['acc_mutual_info_ci_low']:.1f} – 100.0 %).")
    (alone,) = about("question removed", said(rows))
    assert alone.endswith(f"0.0 % (0.0 – {percent(found['acc_choices_only_ci_high'])}).")


def test_orders_are_shown_with_what_they_change():
    """A model that always says A, where A is right at first."""
    orders = (OptionOrder((0, 1), (-1.0, -2.0)), OptionOrder((1, 0), (-1.0, -2.0)))
    rows = [prediction(extra={"letters": True, "orders": orders})] * 3
    swayed, corrected = said(rows)[-2:]
    assert "Over the orders of the options: 50.0 %; right under every order 0.0 %" in swayed
    assert "same choice under every order 0.0 %; standard deviation of recall between letters 50.0 points" in swayed
    assert corrected.startswith("With the letters' prior removed ") and ", averaged over orders " in corrected


def test_orders_that_do_not_show_the_prior_of_letters_leave_it_and_say_so():
    orders = tuple(OptionOrder(order, (-1.0, -2.0, -3.0)) for order in ((0, 1, 2), (1, 2, 0)))
    row = prediction((-1.0, -2.0, -3.0), answer=1, choices=("a", "b", "c"), extra={"letters": True, "orders": orders})
    assert said([row])[-1].startswith("Averaged over orders 100.0 % (")
    assert "The letters' prior is not removed: it shows only where each choice stood at each letter" in said([row])[-1]


def test_ties_missing_numbers_and_cut_questions_are_counted_where_there_are_any():
    rows = [prediction((-1.0, -1.0)), prediction((math.nan, -1.0)), prediction(extra={"truncated": True})]
    rows += [prediction((-1.0, math.nan), extra={"too_long": True})]
    assert said(rows)[-4:] == [
        "Questions whose highest score two choices share: 1.",
        "Questions with a score that is not a number, counted as wrong: 1.",
        "Questions longer than the model's context, which lost their beginning: 1.",
        "Questions with a choice longer than the model's context, not measured and counted as wrong: 1.",
    ]


# --- subjects and wrong answers --------------------------------------------------------------------------------------


def test_every_subject_has_a_row_with_its_accuracy():
    rows = [prediction(subject="law"), prediction(subject="law", answer=1), prediction(subject="art"), prediction()]
    art, law = subjects(rows, "auto")
    assert list(law) == ["subject", "n", "acc", "acc_stderr_independent", "acc_ci_low", "acc_ci_high", "acc_norm"]
    assert (art["subject"], art["n"], art["acc"]) == ("art", 1, 1)
    assert (law["subject"], law["n"], law["acc"], law["acc_norm"]) == ("law", 2, 0.5, 0.5)
    assert law["acc_ci_low"] == compute_metrics(rows[:2])["acc_ci_low"], "of one subject all are of that subject"
    assert subjects([prediction()], "auto") == []


def test_within_a_subject_passages_are_still_clusters_unless_there_are_to_be_none():
    rows = [prediction(subject="law", context="pq"[n // 4], answer=n // 4) for n in range(8)]
    (together,), (alone,) = subjects(rows, "auto"), subjects(rows, "none")
    assert together["acc_ci_high"] - together["acc_ci_low"] > alone["acc_ci_high"] - alone["acc_ci_low"]


def test_a_score_that_is_no_number_is_wrong_in_its_subject_too():
    nan = (math.nan, -1.0)
    rows = [prediction(subject="law"), prediction(nan, subject="law"), prediction(nan, subject="art")]
    (law,) = subjects(rows, "auto")
    assert (law["n"], law["acc"]) == (2, 0.5)


def test_wrong_answers_are_listed_the_most_confident_first_and_those_without_a_number_before_all():
    rows = [
        prediction((-1.0, -2.0), 1, id="unsure"),
        prediction((-1.0, -2.0), 0, id="right"),
        prediction((-1.0, -9.5), 1, id="sure", subject="law"),
        prediction((math.nan, -9.0), 1, id="broken"),
    ]
    found = wrong_answers(rows)
    listed = [dict(zip(found["columns"], row, strict=True)) for row in found["data"]]
    assert [row["id"] for row in listed] == ["broken", "sure", "unsure"]
    assert listed[1] == {
        "id": "sure",
        "subject": "law",
        "question": "?",
        "right": "b",
        "answered": "a",
        "margin": 8.5,
        "scores": "a: -1.00; b: -9.50",
    }
    assert (listed[0]["answered"], listed[0]["margin"]) == ("", None)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("rows", [[], [prediction()]])
def test_where_nothing_is_wrong_the_list_is_empty(rows):
    assert wrong_answers(rows)["data"] == []
