"""The loss of held-out conversations is that of the answers' tokens, and is written and read again."""

import math
from types import SimpleNamespace

import pytest
import torch

from mcqa.config.errors import ModelError
from mcqa.data.conversations.conversation import Conversation, Turn
from mcqa.data.loading import Data
from mcqa.data.mixture import Mixture
from mcqa.evaluation.conversations import (
    AnswerLoss,
    conversation_sets,
    first,
    loss_metrics,
    measure_losses,
    recalled,
    write,
)
from tests.small_runs import configured, loaded


def talk(number, of=""):
    turns = Turn("user", f"What is {number}?"), Turn("assistant", f"It is {number} and no other.")
    return Conversation(f"{of}c{number}", turns, "plain")


TALKS = [talk(number) for number in range(6)]


@pytest.fixture(scope="module")
def starter():
    model, tokenizer = loaded("peft=none")
    return SimpleNamespace(model=model.eval(), tokenizer=tokenizer, hardware=configured(["peft=none"])[0].hardware)


def held_out(talks, tokenizer, questions=(), mixture=None):
    data = Data({"dev": list(questions)} if questions else {}, [], [], conversations={"dev": talks}, mixture=mixture)
    (one,) = conversation_sets(data, ["train", "dev", "test"], tokenizer)
    return one


def test_a_loss_is_that_of_the_answer_with_its_end_and_of_nothing_before_it(starter):
    one = held_out(TALKS, starter.tokenizer)
    rows = measure_losses(starter.model, one, starter.hardware)
    for row, choice in zip(rows, one.encoded, strict=True):
        ids = torch.tensor([[*choice.context, *choice.continuation]])
        with torch.no_grad():
            logprobs = starter.model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
        expected = -sum(logprobs[at - 1, ids[0, at]].item() for at in range(len(choice.context), ids.shape[1]))
        assert row.nats == pytest.approx(expected, abs=1e-3)
        assert row.tokens == len(choice.continuation) and ids[0, -1] == starter.tokenizer.eos_token_id
    metrics = loss_metrics(one, rows)
    loss = sum(row.nats for row in rows) / sum(row.tokens for row in rows)
    assert metrics["dev/loss"] == pytest.approx(loss)
    assert metrics["dev/perplexity"] == pytest.approx(math.exp(loss))
    assert metrics["dev/n"] == 6


def rows_of(talks, nats=2.0):
    return [AnswerLoss(one.id, nats, 4, False) for one in talks]


def test_beside_questions_the_loss_of_conversations_has_a_name_of_its_own(starter):
    one = held_out(TALKS, starter.tokenizer, questions=["a question"])
    assert loss_metrics(one, rows_of(TALKS), "base/")["base/dev/conversations/loss"] == 0.5


def test_each_set_of_a_mix_has_a_loss_of_its_own(starter):
    talks = [talk(1, "a/"), talk(2, "b/")]
    one = held_out(talks, starter.tokenizer, mixture=Mixture({"a": 1, "b": 1}, 1, 0))
    metrics = loss_metrics(one, [AnswerLoss("a/c1", 2.0, 4, False), AnswerLoss("b/c2", 4.0, 4, False)])
    assert [metrics[f"dev/{name}loss"] for name in ("", "a/", "b/")] == [0.75, 0.5, 1.0]


def test_few_conversations_are_the_same_ones_again(starter):
    one = held_out(TALKS, starter.tokenizer)
    few = first(one, seed=0, limit=2)
    assert len(few.conversations) == len(few.encoded) == 2 and few.conversations == first(one, 0, 2).conversations
    assert first(one, 0, None) == one


def test_losses_that_are_no_numbers_are_counted_and_all_of_them_an_error(starter):
    one = held_out(TALKS[:2], starter.tokenizer)
    metrics = loss_metrics(one, [*rows_of(TALKS[:1]), *rows_of(TALKS[1:2], math.nan)])
    assert (metrics["dev/loss"], metrics["dev/nan"]) == (0.5, 1)
    with pytest.raises(ModelError, match="none of the losses of 2 texts is a number"):
        loss_metrics(one, rows_of(TALKS[:2], math.nan))


def test_losses_are_read_as_they_were_written_and_only_for_the_same_conversations(tmp_path, caplog):
    path = tmp_path / "losses" / "dev.jsonl"
    assert recalled(path, TALKS) is None
    write(path, rows := rows_of(TALKS))
    assert recalled(path, TALKS) == rows
    assert recalled(path, TALKS[:3]) is None
    path.write_text("{")
    assert recalled(path, TALKS) is None
    assert caplog.text.count("They are measured again") == 2
