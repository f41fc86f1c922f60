"""Accuracies under several names, what they prove, and a loss, from the scores of every choice."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.errors import ModelError
from mcqa.config.metric_names import NEEDS
from mcqa.data.question import Question
from mcqa.evaluation.decisions import SCORES, is_correct
from mcqa.evaluation.metrics import by_subject, chance_accuracy, cluster_names, compute_metrics
from mcqa.evaluation.predictions import OptionOrder, Prediction, best_choice
from mcqa.evaluation.statistics import (
    bootstrap_interval,
    clustered_accuracy,
    wilson_interval,
)

NAN = math.nan


def prediction(scores, answer=0, choices=None, tokens=None, extra=None, **changes):
    """A prediction with these scores; choices are of one character unless given. extra: further scores and marks."""
    choices = choices or tuple("abcdefgh"[: len(scores)])
    question = Question("q", "?", choices, answer, **changes)
    return Prediction(question, tuple(scores), tuple(tokens or [1] * len(scores)), **(extra or {}))


def everything(scores, answer=0, **changes):
    """A prediction of which everything was measured, under the cyclic orders."""
    n, scores = len(scores), tuple(scores)
    orders = tuple(tuple(range(n))[i:] + tuple(range(n))[:i] for i in range(n))
    found = tuple(OptionOrder(order, tuple(scores[i] for i in order)) for order in orders)
    extra = {"letters": True, "unconditional": scores[::-1], "choices_only": scores, "orders": found}
    return prediction(scores, answer, extra=extra, **changes)


@st.composite
def predictions(draw):
    scores = draw(st.lists(st.floats(-500, 0), min_size=1, max_size=6))
    texts = st.text(min_size=0, max_size=8)
    return prediction(
        scores,
        answer=draw(st.integers(0, len(scores) - 1)),
        choices=tuple(draw(st.lists(texts, min_size=len(scores), max_size=len(scores)))),
        tokens=draw(st.lists(st.integers(1, 9), min_size=len(scores), max_size=len(scores))),
    )


def test_acc_is_the_share_of_questions_whose_right_choice_scores_highest():
    rows = [prediction([-1, -2]), prediction([-2, -1]), prediction([-2, -1], answer=1), prediction([-1, -2], answer=1)]
    assert compute_metrics(rows)["acc"] == 0.5


def test_acc_norm_divides_by_characters_and_acc_does_not():
    short_wins = prediction([-5, -2], choices=("ten letter", "no"))
    assert compute_metrics([short_wins])["acc"] == 0
    assert compute_metrics([short_wins])["acc_norm"] == 1  # -0.5 against -1 a character


def test_acc_bytes_divides_by_the_bytes_of_utf_8():
    """Two characters of three bytes each: -3 a character, -1 a byte; four characters of a byte: -2 either way."""
    row = prediction([-6, -8], choices=("鯨魚", "fish"))
    found = compute_metrics([row])
    assert (found["acc"], found["acc_norm"], found["acc_bytes"]) == (1, 0, 1)


def test_the_delimiting_space_is_not_part_of_a_length():
    """-2 against -1.5 a character; with a space more it would be -1 against -1.125."""
    assert compute_metrics([prediction([-2, -4.5], choices=("a", "bbb"), answer=1)])["acc_norm"] == 1


@pytest.mark.parametrize("name", ["acc", "acc_norm", "acc_bytes"])
def test_of_choices_that_tie_the_first_is_the_prediction(name):
    choices = ("one", "two", "six")
    assert compute_metrics([prediction([-3, -1, -1], answer=1, choices=choices)])[name] == 1
    assert compute_metrics([prediction([-3, -1, -1], answer=2, choices=choices)])[name] == 0


def test_a_choice_without_text_is_measured_as_one_character():
    found = compute_metrics([prediction([-1, -3], choices=("", "two"))])
    assert (found["acc"], found["acc_norm"], found["acc_bytes"]) == (1, 1, 1)


def test_acc_tokens_divides_by_the_tokens_that_were_scored():
    row = prediction([-6, -3], choices=("a", "b"), tokens=[4, 1])
    found = compute_metrics([row])
    assert (found["acc"], found["acc_norm"], found["acc_tokens"]) == (0, 0, 1)


def test_acc_mutual_info_subtracts_the_log_probability_of_a_choice_by_itself():
    """The second choice is likelier after the question, but gains less by it."""
    row = prediction([-3, -2], extra={"unconditional": (-9.0, -3.0)})
    found = compute_metrics([row])
    assert (found["acc"], found["acc_mutual_info"]) == (0, 1)


def test_acc_choices_only_is_the_accuracy_of_the_scores_without_the_question():
    rows = [prediction([-1, -2], extra={"choices_only": scores}) for scores in ((-1.0, -2.0), (-2.0, -1.0))]
    found = compute_metrics(rows)
    assert (found["acc"], found["acc_choices_only"]) == (1, 0.5)


@pytest.mark.parametrize("key", ["unconditional", "choices_only"])
def test_what_was_measured_of_some_questions_only_has_no_accuracy(key):
    rows = [prediction([-1, -2], extra={key: (-1.0, -2.0)}), prediction([-1, -2])]
    names = {"unconditional": "acc_mutual_info", "choices_only": "acc_choices_only"}
    assert names[key] in compute_metrics(rows[:1])
    assert names[key] not in compute_metrics(rows)
    with pytest.raises(AssertionError, match=f"evaluation.{key}"):
        SCORES[names[key]](rows[1])


@given(
    st.lists(predictions(), min_size=1, max_size=20), st.sampled_from(["acc", "acc_norm", "acc_bytes", "acc_tokens"])
)
def test_an_accuracy_is_the_share_of_questions_that_are_right_by_its_scores(rows, name):
    assert compute_metrics(rows)[name] == pytest.approx(sum(is_correct(row, name) for row in rows) / len(rows))
    assert all(is_correct(row, name) == (best_choice(SCORES[name](row)) == row.question.answer) for row in rows)


@given(st.lists(predictions(), min_size=1, max_size=20))
def test_accuracies_are_those_of_their_definition(rows):
    found = compute_metrics(rows)
    lengths = {"acc": lambda text: 1, "acc_norm": len, "acc_bytes": lambda text: len(text.encode("utf-8"))}
    for name, length in lengths.items():
        right = 0
        for row in rows:
            scores = [s / max(1, length(c)) for s, c in zip(row.scores, row.question.choices, strict=True)]
            best = min(i for i, s in enumerate(scores) if s == max(scores))
            right += best == row.question.answer
        assert found[name] == pytest.approx(right / len(rows))


@given(st.lists(predictions(), min_size=2, max_size=20))
def test_the_standard_error_is_the_sample_deviation_over_the_root_of_n(rows):
    """With n - 1, as lm-evaluation-harness gives it."""
    marks = [float(row.correct) for row in rows]
    mean = sum(marks) / len(marks)
    deviation = math.sqrt(sum((mark - mean) ** 2 for mark in marks) / (len(marks) - 1))
    assert compute_metrics(rows)["acc_stderr_independent"] == pytest.approx(
        deviation / math.sqrt(len(marks)), abs=1e-12
    )


@given(st.lists(predictions(), min_size=1, max_size=20))
def test_the_interval_holds_the_accuracy(rows):
    found = compute_metrics(rows)
    assert 0 <= found["acc_ci_low"] <= found["acc"] + 1e-12
    assert found["acc"] - 1e-12 <= found["acc_ci_high"] <= 1
    assert found["n"] == len(rows)


def test_the_loss_is_of_the_right_answers_per_token_over_all_questions():
    rows = [prediction([-6, -1], tokens=[3, 1]), prediction([-1, -2], answer=1, tokens=[1, 1])]
    assert compute_metrics(rows)["loss"] == (6 + 2) / (3 + 1)


def with_interval(*names):
    return {f"{name}{end}" for name in names for end in ("", "_stderr_independent", "_ci_low", "_ci_high")}


PLAIN = with_interval("acc", "acc_norm", "acc_bytes", "acc_tokens") | {
    "n", "ties", "nan", "truncated", "too_long", "loss", "ece", "ece_if_calibrated", "ece_debiased", "ece_ci_low",
    "ece_ci_high", "brier", "nll", "aurc",
}  # fmt: skip


def test_the_metrics_are_these():
    assert set(compute_metrics([prediction([-1, -2])])) == PLAIN


def test_what_else_was_measured_or_asked_for_adds_these():
    rows = [everything([-1, -2], cluster="one"), everything([-2, -1], cluster="two"), everything([-1, -3])]
    assert set(compute_metrics(rows)) - PLAIN == with_interval(
        "acc_mutual_info", "acc_choices_only", "acc_worst", "acc_debiased", "acc_averaged"
    ) | {"acc_orders", "acc_orders_min", "acc_orders_max", "consistency", "recall_std"}
    twice = [*rows, everything([-1, -2], cluster="one")]
    found = set(compute_metrics(twice, "auto", resamples=100, temperature=2.0)) - set(compute_metrics(twice))
    assert found == {
        "acc_stderr_clustered", "clusters", "acc_bootstrap_low", "acc_bootstrap_high",
        "temperature", "ece_scaled", "ece_if_calibrated_scaled", "ece_debiased_scaled", "ece_ci_low_scaled",
        "ece_ci_high_scaled", "brier_scaled", "nll_scaled",
    }  # fmt: skip


def test_every_metric_that_can_steer_a_run_is_measured():
    assert set(NEEDS) <= set(compute_metrics([everything([-1, -2, -3]), everything([-2, -1, -3])]))
    assert {name for name, key in NEEDS.items() if key is None} <= PLAIN


def test_every_score_with_a_name_is_an_accuracy_with_that_name():
    assert set(SCORES) <= set(compute_metrics([everything([-1, -2])]))


# --- scores that are not numbers, ties, cut questions ----------------------------------------------------------------


def test_a_question_with_a_score_that_is_no_number_is_wrong_by_every_accuracy_and_counted():
    found = compute_metrics([prediction([-1, -2]), prediction([-1, NAN])])
    assert (found["nan"], found["n"]) == (1, 2)
    assert [found[name] for name in ("acc", "acc_norm", "acc_bytes", "acc_tokens")] == [0.5] * 4
    assert found["loss"] == 1  # of the questions that have one
    assert all(math.isfinite(value) for value in found.values())


def test_a_score_without_the_question_that_is_no_number_is_wrong_there_alone():
    rows = [prediction([-1, -2], extra={"choices_only": (-1.0, NAN), "unconditional": (NAN, -1.0)})]
    found = compute_metrics(rows)
    assert (found["acc"], found["acc_choices_only"], found["acc_mutual_info"], found["nan"]) == (1, 0, 0, 0)


def test_a_model_without_any_number_is_broken_and_says_what_to_try():
    with pytest.raises(ModelError, match=r"none of the scores of 2 questions .*hardware\.precision=fp32"):
        compute_metrics([prediction([NAN, NAN]), prediction([-1, NAN])])


def test_ties_are_of_the_best_choices_only():
    rows = [prediction([-1, -1, -2]), prediction([-1, -2, -2]), prediction([NAN, -1, -1]), prediction([-3, -3, -3])]
    assert compute_metrics(rows)["ties"] == 2


def test_truncated_questions_are_counted():
    assert (
        compute_metrics([prediction([-1, -2], extra={"truncated": cut}) for cut in (True, False, True)])["truncated"]
        == 2
    )


def test_questions_with_a_choice_that_does_not_fit_are_counted_apart_and_are_wrong():
    long = [prediction([-1, NAN], extra={"too_long": True}), prediction([-1, NAN]), prediction([-1, -2])]
    metrics = compute_metrics(long)
    assert (metrics["too_long"], metrics["nan"], metrics["n"], metrics["acc"]) == (1, 1, 3, pytest.approx(1 / 3))
    with pytest.raises(ModelError, match="each of 1 questions has a choice longer than the model's context"):
        compute_metrics(long[:1])


# --- what an accuracy proves -----------------------------------------------------------------------------------------

TWINS = [  # three facts, each asked twice, and a question alone
    prediction([-1, -2], answer=answer, cluster=cluster)
    for answer, cluster in zip([0, 0, 1, 1, 0, 1, 0], ["a", "a", "b", "b", "c", "c", ""], strict=True)
]
NAMES = ["a", "a", "b", "b", "c", "c", ""]
CORRECT = [row.correct for row in TWINS]


def test_without_related_questions_the_interval_is_wilsons():
    found = compute_metrics(TWINS, "none")
    assert (found["acc_ci_low"], found["acc_ci_high"]) == wilson_interval(4, 7)
    assert "clusters" not in found and "acc_stderr_clustered" not in found


@pytest.mark.parametrize("cluster", ["auto", "passage"])
def test_the_interval_accounts_for_clusters_of_related_questions(cluster):
    found, expected = compute_metrics(TWINS, cluster), clustered_accuracy(CORRECT, NAMES)
    assert (found["acc_ci_low"], found["acc_ci_high"]) == (expected.low, expected.high)
    assert (found["acc_stderr_clustered"], found["clusters"]) == (expected.standard_error, 4)
    assert found["acc_ci_high"] - found["acc_ci_low"] > wilson_interval(4, 7)[1] - wilson_interval(4, 7)[0]
    alone = compute_metrics(TWINS)["acc_stderr_independent"]
    assert found["acc_stderr_independent"] == alone, "as lm-evaluation-harness gives it"


def test_one_model_alone_has_no_minimum_detectable_difference():
    """It is about two models, whose disagreement one of them does not show."""
    assert "minimum_detectable_difference" not in compute_metrics(TWINS, "auto")


def test_one_cluster_says_nothing_about_others():
    found = compute_metrics([prediction([-1, -2], subject="law"), prediction([-2, -1], subject="law")], "subject")
    assert (found["acc_ci_low"], found["acc_ci_high"]) == (0, 1)
    assert (found["ece_ci_low"], found["ece_ci_high"]) == (0, 1)
    assert found["clusters"] == 1 and "acc_stderr_clustered" not in found
    assert all(math.isfinite(value) for value in found.values())


def test_the_bootstrap_is_drawn_the_same_every_time_and_by_cluster():
    first, second = (compute_metrics(TWINS, "auto", resamples=500) for _ in range(2))
    assert first == second
    assert (first["acc_bootstrap_low"], first["acc_bootstrap_high"]) == bootstrap_interval(CORRECT, NAMES, 500, 0)
    alone = compute_metrics(TWINS, "none", resamples=500)
    assert (alone["acc_bootstrap_low"], alone["acc_bootstrap_high"]) == bootstrap_interval(CORRECT, None, 500, 0)


@given(st.lists(predictions(), min_size=1, max_size=12), st.randoms())
def test_the_order_of_the_questions_changes_no_metric(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert compute_metrics(shuffled, "auto", temperature=3.0) == pytest.approx(
        compute_metrics(rows, "auto", temperature=3.0)
    )


def questions(**columns):
    return [
        Question(str(n), "?", ("a", "b"), 0, **dict(zip(columns, values, strict=True)))
        for n, values in enumerate(zip(*columns.values(), strict=True))
    ]


def test_clusters_in_the_data_go_before_passages():
    facts, passages, subjects = ["f", "f", *[""] * 9], ["p"] * 11, [*"abcdefghij", "a"]
    assert cluster_names(questions(cluster=facts, context=passages, subject=subjects), "auto") == ["f", "f", *["p"] * 9]
    assert cluster_names(questions(context=passages, subject=subjects), "auto") == passages


def test_subjects_are_taken_for_clusters_only_where_the_configuration_says_so():
    """However many: as a sample of subjects those of MMLU make its interval seven times as wide."""
    for subjects in (["a"] * 20, [*"abcdefghij", "a"], [*"abcdefghij"] * 5 + [""]):
        asked = questions(subject=subjects)
        assert cluster_names(asked, "auto") is None
        assert cluster_names(asked, "subject") == subjects
    rows = [prediction([-1, -2], subject="law", answer=n % 2) for n in range(20)]
    assert (
        compute_metrics(rows, "auto")["acc_ci_low"],
        compute_metrics(rows, "auto")["acc_ci_high"],
    ) == wilson_interval(10, 20)


def test_names_that_no_two_questions_share_are_passed_over():
    asked = questions(context=["one", "two", *[""] * 9], subject=["a"] * 11)
    assert cluster_names(asked, "auto") is None
    assert cluster_names(asked, "passage") is None
    assert cluster_names(questions(context=["", ""], subject=["s", "t"]), "auto") is None


def test_the_configuration_chooses_which_questions_are_related():
    asked = questions(context=["p", "p", "q"], subject=["s", "t", "s"])
    assert cluster_names(asked, "subject") == ["s", "t", "s"]
    assert cluster_names(asked, "passage") == ["p", "p", "q"]
    assert cluster_names(asked, "none") is None
    assert cluster_names(questions(subject=["s", "s"]), "passage") is None


def test_chance_is_a_guess_at_each_question():
    two, four = Question("a", "?", ("1", "2"), 0), Question("b", "?", ("1", "2", "3", "4"), 0)
    assert chance_accuracy([two, four]) == (1 / 2 + 1 / 4) / 2


def test_subjects_are_sorted_and_questions_without_one_belong_to_none():
    rows = [prediction([-1], subject=subject) for subject in ("law", "art", "", "law")]
    assert by_subject(rows) == {"art": [rows[1]], "law": [rows[0], rows[3]]}
    assert list(by_subject(rows)) == ["art", "law"]
    assert by_subject(rows[2:3]) == {}


def test_where_letters_were_scored_every_choice_is_as_long_as_a_letter():
    question = Question("q", "?", ("a long choice indeed", "x"), 0)
    row = Prediction(question, (-1.0, -2.0), (1, 1), letters=True)
    assert (
        compute_metrics([row])["acc_norm"] == compute_metrics([row])["acc_bytes"] == compute_metrics([row])["acc"] == 1
    )
    assert row.as_row()["lengths"] == {"characters": [1, 1], "bytes": [1, 1], "tokens": [1, 1]}
