"""Of a conversation exactly the assistant's tokens are learned, and those that are learned are measured."""

from dataclasses import fields

import pytest

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import ObjectiveConfig
from mcqa.data.conversations.conversation import Conversation, Turn
from mcqa.data.conversations.texts import last_turn
from mcqa.data.mixture import Mixture
from mcqa.data.tokens import IGNORE_INDEX, encode_answers, training_set
from mcqa.models.from_scratch import END_OF_TEXT as END
from mcqa.models.from_scratch import new_tokenizer
from tests.data.test_tokens import CHAT, CLOZE, LETTERS, SENTENCES, question


def tokenizer(template=CHAT):
    made = new_tokenizer(500, SENTENCES)
    made.chat_template = template
    return made


TOKENIZER = tokenizer()


def objective(**changes):
    values = dict.fromkeys(field.name for field in fields(ObjectiveConfig))
    return ObjectiveConfig(**(values | {"name": "sft", "max_length": 10_000, "loss_on": "answer"} | changes))


def conversation(*said, form="chat", id="c", system=None):
    turns = [Turn(("user", "assistant")[n % 2], text) for n, text in enumerate(said)]
    return Conversation(id, (*([Turn("system", system)] if system else []), *turns), form)


def trained(*conversations, of=TOKENIZER, **changes):
    return training_set(of, CLOZE, objective(**changes), [], [], conversations=conversations)


def learned(example, of=TOKENIZER):
    """The learned texts, one for each run of learned tokens, and the whole text."""
    texts, inside = [], False
    for token, label in zip(example.input_ids, example.labels, strict=True):
        if label != IGNORE_INDEX:
            assert label == token
            texts = [*texts[:-1], [*texts[-1], token]] if inside else [*texts, [token]]
        inside = label != IGNORE_INDEX
    return [of.decode(text) for text in texts], of.decode(example.input_ids)


TWO = ("Is it hot?", "It is.", "Is it cold?", "It is not.")


def test_in_chat_the_last_turn_is_learned_with_what_ends_it():
    (example,) = trained(conversation(*TWO)).examples
    before = (
        "<|user|>\nIs it hot?<|endoftext|>\n<|assistant|>\nIt is.<|endoftext|>\n<|user|>\nIs it cold?<|endoftext|>\n"
    )
    assert learned(example) == ([f"\nIt is not.{END}"], f"{before}<|assistant|>\nIt is not.{END}")


def test_in_plain_text_sides_have_names_and_blank_lines_between():
    (example,) = trained(conversation(*TWO, form="plain", system="Be brief.")).examples
    before = "System: Be brief.\n\nUser: Is it hot?\n\nAssistant: It is.\n\nUser: Is it cold?\n\nAssistant:"
    assert learned(example) == ([f" It is not.{END}"], f"{before} It is not.{END}")


def test_in_alpaca_s_text_the_answer_follows_at_once():
    assert last_turn(None, conversation("### Response:", "Yes. ", form="alpaca")) == ("### Response:", "Yes.")


def test_every_turn_of_the_assistant_is_learned_where_that_is_wanted():
    (chat,) = trained(conversation(*TWO), loss_on="assistant").examples
    assert learned(chat)[0] == [f"\nIt is.{END}", f"\nIt is not.{END}"]
    (plain,) = trained(conversation(*TWO, form="plain"), loss_on="assistant").examples
    assert learned(plain)[0] == [" It is.", f" It is not.{END}"]


@pytest.mark.parametrize("form", ["chat", "plain"])
def test_with_loss_on_all_every_token_is_learned(form):
    (example,) = trained(conversation(*TWO, form=form), loss_on="all").examples
    assert example.labels == example.input_ids


@pytest.mark.parametrize("form", ["chat", "plain"])
def test_what_is_measured_is_what_is_learned(form):
    talk = conversation(*TWO, form=form)
    (example,), (choice,) = trained(talk).examples, encode_answers(TOKENIZER, [talk])
    assert [*choice.context, *choice.continuation] == example.input_ids
    assert example.labels[len(choice.context) :] == choice.continuation


def test_without_a_chat_template_the_error_says_what_to_take():
    with pytest.raises(ModelError, match=r"has no chat template.*data\.conversations\.form=plain"):
        trained(conversation("Hi?", "Hello."), of=tokenizer(None))


def test_a_template_that_refuses_a_conversation_names_it():
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + CHAT
    with pytest.raises(DataError, match=r"conversation 'c7'.*refuses it: no system turn"):
        trained(conversation("Hi?", "Hello.", id="c7", system="Be brief."), of=tokenizer(strict))


def test_a_template_that_rewrites_earlier_turns_leaves_the_last_one_to_learn():
    rewriting = CHAT.replace("{{ message['content'] | trim }}", "{{ message['content'] if loop.last else 'cut' }}")
    with pytest.raises(DataError, match=r"other tokens in the whole conversation.*objective\.loss_on=answer"):
        trained(conversation(*TWO), of=tokenizer(rewriting), loss_on="assistant")
    assert trained(conversation(*TWO), of=tokenizer(rewriting)).examples


def test_a_conversation_that_is_too_long_is_dropped_and_never_cut():
    long, short = conversation("Hi? " * 200, "Hello.", id="long"), conversation("Hi?", "Hello.", id="short")
    kept = trained(long, short, max_length=100)
    assert (len(kept.examples), list(kept.too_long)) == (1, ["long"])


# --- a mix -----------------------------------------------------------------------------------------------------------


def mixed(temperature=1.0, shuffle_seed=None, **weights):
    questions = [question(id=f"q/{n}", question=f"Which is {n}?") for n in range(8)]
    talks = [conversation("Hi? " * (n + 1), "Hello.", form="plain", id=f"t/{n}") for n in range(4)]
    mixture = Mixture(weights, temperature, 0)
    return training_set(TOKENIZER, LETTERS, objective(), questions, [], None, shuffle_seed, talks, mixture)


def test_each_epoch_of_a_mix_draws_its_own_examples():
    training = mixed(q=1, t=4)  # 4 questions of 8, and the 4 conversations twice
    epochs = [training.epoch(number) for number in range(2)]
    assert epochs[0] == training.examples and [len(epoch) for epoch in epochs] == [12, 12]
    asked = [{tuple(example.input_ids) for example in epoch} for epoch in epochs]
    assert len(asked[0]) == len(asked[1]) == 8 and len(asked[0] | asked[1]) == 12
    assert len(training.undrawn) == 4
    assert training.longest == max(len(example.input_ids) for epoch in epochs for example in epoch)


def test_options_are_shuffled_in_a_mix_too():
    training = mixed(shuffle_seed=0, q=1, t=1)
    texts = [[TOKENIZER.decode(example.input_ids) for example in training.epoch(number)] for number in (0, 1, 0)]
    assert texts[0] == texts[2] != texts[1]
