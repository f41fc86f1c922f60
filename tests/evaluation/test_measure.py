"""What is measured of a question: its scores, and further ones where they are asked for."""

import logging
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from mcqa.config.metric_names import NEEDS
from mcqa.data import facts
from mcqa.data.prompts import Shots, requests
from mcqa.data.question import reordered
from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation import measure as measuring
from mcqa.evaluation.measure import (
    measure,
    named_metrics,
    question_set,
    question_sets,
    restrict_to_steering_metrics,
)
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.option_order import orders_to_measure
from mcqa.evaluation.predictions import read, write
from mcqa.models import loading
from tests.small_runs import configured

QUESTIONS = facts.questions("dev")[::40][:6]


@pytest.fixture(scope="module")
def starter():
    """The embedded model with its tokenizer, and the hardware that it runs on."""
    config, _ = configured(["peft=none"])
    tokenizer = loading.load_tokenizer(config.model, [])
    loaded = loading.load_model(config.model, config.peft, config.hardware, tokenizer, seed=0)
    return SimpleNamespace(model=loaded.eval(), tokenizer=tokenizer, hardware=config.hardware)


def asked(starter, *overrides, questions=QUESTIONS, split="dev"):
    config, _ = configured(["peft=none", *overrides])
    shots = Shots(config.prompt, facts.questions("train")[:20])
    return question_set(split, questions, config.prompt, config.evaluation, starter.tokenizer, shots)


def rows(starter, *overrides, **changes):
    return measure(starter.model, asked(starter, *overrides, **changes), starter.hardware)


def close(found, expected):
    assert list(found) == pytest.approx(list(expected), abs=1e-3)


def test_choices_after_different_texts_are_scored_each_after_its_own(starter, tmp_path):
    some = [replace(question, question=f"{question.question} It is _, surely.") for question in QUESTIONS]
    everything = ["evaluation.unconditional=true", "evaluation.choices_only=true", "prompt.shots=1"]
    pool = [replace(question, question=f"{question.question} _ it is.") for question in facts.questions("train")[:3]]
    config, _ = configured(["peft=none", "prompt=blank", *everything])
    shots = Shots(config.prompt, pool)
    ready = question_set("dev", some, config.prompt, config.evaluation, starter.tokenizer, shots)
    measured = measure(starter.model, ready, starter.hardware)
    for row, question in zip(measured, some, strict=True):
        for number, (before, after) in enumerate(requests(starter.tokenizer, config.prompt, question, shots)):
            context, whole = (starter.tokenizer(text)["input_ids"] for text in (before, before + after))
            logits = starter.model(torch.tensor([whole])).logits[0, len(context) - 1 : -1].log_softmax(-1)
            expected = logits.gather(1, torch.tensor(whole[len(context) :])[:, None]).sum().item()
            assert row.scores[number] == pytest.approx(expected, abs=1e-3)
        assert row.texts == tuple(f"{question.question.partition('_')[0]}{choice}" for choice in question.choices)
        assert len(set(row.unconditional)) == 1, "the same is scored after every choice"
        assert len(set(row.choices_only)) > 1, "and without the question the choices themselves"
    write(tmp_path / "a.jsonl", measured)
    assert read(tmp_path / "a.jsonl") == measured


def test_orders_are_measured_where_the_prompt_shows_the_options(starter):
    published = ["prompt=published", "data.prompt.style=letters_with_text", "evaluation.permutations=2"]
    config, _ = configured(["peft=none", *published, "evaluation.sets=[{data: facts, name: more}]"])
    splits = {"test": QUESTIONS[:2], "more": QUESTIONS[:2]}
    shown, hidden = question_sets(splits, config, starter.tokenizer, Shots(config.prompt, []))
    assert [len(orders) for orders in shown.orders] == [2, 2] and [len(orders) for orders in hidden.orders] == [1, 1]
    assert all(row.orders for row in measure(starter.model, shown, starter.hardware))
    (row, _) = measure(starter.model, hidden, starter.hardware)
    assert not row.orders and row.texts == row.question.choices
    (row, _) = measure(starter.model, shown, starter.hardware)
    assert row.texts == tuple(f"{letter}. {text}" for letter, text in zip("ABCD", row.question.choices, strict=True))


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_unless_more_is_asked_for_every_question_is_read_once_as_it_is(starter):
    ready = asked(starter)
    assert ready.orders == [[(0, 1, 2, 3)]] * len(QUESTIONS)
    assert [len(choices) for choices in ready.encoded] == [4] * len(QUESTIONS)
    assert (ready.unconditional, ready.choices_only, ready.letters) == (None, None, False)


def test_the_choices_of_all_orders_share_a_row_the_given_order_first(starter):
    ready = asked(starter, "prompt=letters", "evaluation.permutations=cyclic")
    assert [list(orders) for orders in ready.orders] == [orders_to_measure(4, "cyclic", q.id) for q in QUESTIONS]
    assert [len(choices) for choices in ready.encoded] == [4 * 4] * len(QUESTIONS)
    plain = asked(starter, "prompt=letters")
    assert [list(choices[:4]) for choices in ready.encoded] == [list(choices) for choices in plain.encoded]


def test_during_training_only_what_steers_is_measured():
    everything = ["prompt=letters", "evaluation.unconditional=true", "evaluation.choices_only=true"]
    everything += ["evaluation.permutations=cyclic", "evaluation.bootstrap=100", "evaluation.cluster=subject"]
    for name, key in NEEDS.items():
        config, _ = configured([*everything, f"evaluation.best_metric=dev/{name}"])
        few = restrict_to_steering_metrics(config.evaluation)
        assert few.unconditional == (key == "unconditional")
        assert few.choices_only == (key == "choices_only")
        assert few.permutations == ("cyclic" if key == "permutations" else None)
        assert (few.bootstrap, few.cluster) == (None, "subject")
        both = replace(config.evaluation, stop_metric="dev/acc_mutual_info")
        assert restrict_to_steering_metrics(both) == replace(few, stop_metric=both.stop_metric, unconditional=True)


# --- what is said ----------------------------------------------------------------------------------------------------


def test_further_measurements_leave_the_scores_as_they_are(starter):
    further = ["evaluation.unconditional=true", "evaluation.choices_only=true"]
    for row, plain in zip(rows(starter, *further), rows(starter), strict=True):
        assert (row.question, row.tokens, row.letters) == (plain.question, plain.tokens, False)
        close(row.scores, plain.scores)
        assert plain.unconditional is plain.choices_only is None
        assert plain.orders == ()


def test_tokens_are_those_of_the_choice_alone(starter):
    for row, choices in zip(rows(starter), asked(starter).encoded, strict=True):
        assert row.tokens == tuple(len(choice.continuation) for choice in choices)
    assert {row.tokens for row in rows(starter, "prompt=letters")} == {(1, 1, 1, 1)}
    assert all(row.letters for row in rows(starter, "prompt=letters"))


def test_scores_under_another_order_are_those_of_the_question_asked_in_that_order(starter):
    found = rows(starter, "prompt=letters", "evaluation.permutations=3")
    for row in found:
        assert row.orders[0].scores == row.scores
        assert [one.order for one in row.orders] == orders_to_measure(4, 3, row.question.id)
        turned = [reordered(row.question, one.order) for one in row.orders]
        alone = rows(starter, "prompt=letters", questions=turned)
        for one, expected in zip(row.orders, alone, strict=True):
            close(one.scores, expected.scores)


def test_without_a_question_the_scores_are_the_same_whatever_is_asked(starter):
    first, *_ = QUESTIONS
    other = replace(first, id="other", question="Which of these is longest?")
    for style in ("cloze", "letters"):
        one, two = rows(starter, f"prompt={style}", "evaluation.choices_only=true", questions=[first, other])
        close(one.choices_only, two.choices_only)
        assert one.scores != pytest.approx(two.scores, abs=1e-3)
        assert one.choices_only != pytest.approx(one.scores, abs=1e-3)


def test_unconditional_scores_know_neither_question_nor_prompt(starter):
    first, *_ = QUESTIONS
    other = replace(first, id="other", question="Which of these is longest?")
    one, two = rows(starter, "evaluation.unconditional=true", "prompt.shots=2", questions=[first, other])
    close(one.unconditional, two.unconditional)
    (plain,) = rows(starter, "evaluation.unconditional=true", questions=[first])
    close(one.unconditional, plain.unconditional)
    assert one.scores != pytest.approx(plain.scores, abs=1e-3), "the shots are read"


def test_questions_of_different_numbers_of_choices_are_measured_together(starter):
    mixed = [replace(q, choices=q.choices[:n], answer=0) for q, n in zip(QUESTIONS, (2, 3, 4, 2, 3, 4), strict=True)]
    together = rows(starter, "prompt=letters", "evaluation.permutations=cyclic", questions=mixed)
    assert [len(row.orders) for row in together] == [2, 3, 4, 2, 3, 4]
    for row in together:
        (alone,) = rows(starter, "prompt=letters", "evaluation.permutations=cyclic", questions=[row.question])
        close(row.scores, alone.scores)
        close(row.orders[-1].scores, alone.orders[-1].scores)


def test_the_metrics_are_those_of_the_predictions_under_the_split_s_name(starter):
    overrides = ["evaluation.bootstrap=50", "evaluation.cluster=subject", "evaluation.choices_only=true"]
    ready = asked(starter, *overrides, split="mine")
    measured = measure(starter.model, ready, starter.hardware)
    found, expected = named_metrics(measured, ready), compute_metrics(measured, "subject", 50)
    assert found == {f"mine/{name}": pytest.approx(value) for name, value in expected.items()}
    assert {"mine/acc_bootstrap_low", "mine/acc_choices_only"} <= found.keys()


# --- warnings --------------------------------------------------------------------------------------------------------


def test_questions_that_lost_their_beginning_are_warned_of_and_marked(starter, caplog):
    long = replace(QUESTIONS[0], id="long", question="Which of these? " * 2000)
    found = rows(starter, questions=[long, QUESTIONS[1]])
    assert [row.truncated for row in found] == [True, False]
    assert "1 of 2 dev questions are longer than the model's context" in caplog.text


def test_questions_with_a_choice_longer_than_the_model_are_warned_of_and_count_as_not_measured(starter, caplog):
    long = replace(QUESTIONS[0], id="long", choices=(*QUESTIONS[0].choices[:3], "iron " * 2000))
    found = rows(starter, questions=[long, QUESTIONS[1]])
    assert [row.too_long for row in found] == [True, False]
    assert found[0].prediction is None and math.isnan(found[0].scores[3]) and not math.isnan(found[0].scores[0])
    assert "1 of 2 dev questions have a choice longer than the model's context, which cannot be measured" in caplog.text
    assert "a score that is not a number" not in caplog.text


def test_scores_that_are_no_numbers_are_warned_of(starter, caplog, monkeypatch):
    scores, none = [[math.nan] * 4, [-1.0, -2.0, -3.0, -4.0]], [False] * 2
    broken = SimpleNamespace(scores=scores, truncated=none, too_long=none, method="any")
    monkeypatch.setattr(measuring, "score", lambda *_: broken)
    found = rows(starter, questions=QUESTIONS[:2])
    assert [row.prediction for row in found] == [None, 0]
    assert "1 of 2 dev questions have a score that is not a number, and count as wrong." in caplog.text


def test_questions_that_fit_cause_no_warning_and_the_method_is_logged_once(starter, caplog):
    measuring._log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="mcqa"):
        rows(starter)
        rows(starter)
    assert [record.message.split()[0] for record in caplog.records] == ["Scoring"]


def test_the_questions_are_encoded_once_however_often_they_are_measured(starter, monkeypatch):
    ready = asked(starter)
    monkeypatch.setattr(starter.tokenizer.__class__, "__call__", lambda *_, **__: pytest.fail("encoded again"))
    assert all(isinstance(choice, EncodedChoice) for choices in ready.encoded for choice in choices)
    assert len(measure(starter.model, ready, starter.hardware)) == len(QUESTIONS)
