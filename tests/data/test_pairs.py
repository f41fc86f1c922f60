"""Preference pairs: which answers are compared, in which order options stand, and how long the answers are."""

from collections import Counter
from dataclasses import replace

import pytest

from mcqa.config.errors import DataError
from mcqa.data.conversations.conversation import Conversation, Turn
from mcqa.data.loading import Data
from mcqa.data.pairs import describe, length_warning, pair_lengths, preference_set
from mcqa.data.question import Question
from mcqa.data.tokens import Example
from mcqa.models.from_scratch import new_tokenizer
from tests.config.configurations import config
from tests.data.test_tokens import SENTENCES

TOKENIZER = new_tokenizer(500, SENTENCES)
END = TOKENIZER.eos_token
CHOICES = ("the trout", "the whale", "a stone", "the old river")
QUESTIONS = [
    Question(
        f"q{number}", f"Which is number {number}?", ("the trout", "the whale", "a stone", "the old river"), number % 4
    )
    for number in range(8)
]
DPO = ("objective=dpo", "data=facts")


def pairs(*overrides, questions=QUESTIONS, conversations=()):
    data = Data({"train": list(questions)} if questions else {}, [], [], conversations={"train": list(conversations)})
    return preference_set(config(*DPO, *overrides), data, TOKENIZER)


def texts(example):
    """What both answers follow, the better one and the worse one."""
    chosen, rejected = example.choices
    assert chosen.context == rejected.context
    return (TOKENIZER.decode(chosen.context), *(TOKENIZER.decode(one.continuation) for one in example.choices))


def test_the_right_answer_is_compared_with_every_wrong_one():
    made = pairs("objective.pairs=all", "prompt=cloze")
    assert len(made.examples) == 3 * len(QUESTIONS)
    before, chosen, rejected = zip(*map(texts, made.examples[:3]), strict=True)
    assert set(before) == {"Question: Which is number 0?\nAnswer:"} and set(chosen) == {f" the trout{END}"}
    assert rejected == (f" the whale{END}", f" a stone{END}", f" the old river{END}")
    assert made.epoch(0) == made.epoch(1) == made.examples


def test_a_random_wrong_choice_is_drawn_anew_for_each_epoch_and_the_same_when_asked_again():
    made, again = pairs("objective.pairs=random", "prompt=cloze"), pairs("objective.pairs=random", "prompt=cloze")
    epochs = [made.epoch(number) for number in range(30)]
    assert epochs == [again.epoch(number) for number in range(30)] and epochs[0] == made.examples != epochs[1]
    other = pairs("objective.pairs=random", "prompt=cloze", "seed=1").epoch(0)
    assert all(len(epoch) == len(QUESTIONS) for epoch in epochs) and other != epochs[0]
    drawn = Counter(texts(epoch[0])[2] for epoch in epochs)
    assert set(drawn) == {f" the whale{END}", f" a stone{END}", f" the old river{END}"}


def test_the_hardest_wrong_choice_is_the_one_that_was_measured():
    made = replace(pairs("prompt=cloze"), hardest=lambda: {"q0": 3, "q1": 2})
    worse = [texts(example)[2] for example in made.epoch(0)]
    assert worse[:3] == [f" the old river{END}", f" a stone{END}", f" the trout{END}"]


@pytest.mark.parametrize("which", ["hardest", "random", "all"])
def test_letters_follow_the_options_which_stand_in_another_order_each_epoch(which):
    made = replace(pairs(f"objective.pairs={which}", "prompt=letters"), hardest=lambda: {"q0": 3})
    letters = Counter()
    for number in range(40):
        before, chosen, rejected = texts(made.epoch(number)[0])
        shown = {f" {line[0]}{END}": line[3:] for line in before.splitlines() if line[1:2] == "."}
        assert shown[chosen] == "the trout"
        assert shown[rejected] == {"hardest": "the old river"}.get(which, shown[rejected]) != "the trout"
        letters[chosen] += 1
    assert set(letters) == {f" {letter}{END}" for letter in "ABCD"} and min(letters.values()) > 3


def test_it_is_said_where_the_right_answers_stand():
    fixed = pairs("prompt=letters", "data.shuffle_choices=false")
    assert fixed.letters == {"A": 2, "B": 2, "C": 2, "D": 2} and fixed.epoch(0) == fixed.epoch(1)
    said = describe(fixed.examples, fixed.letters, is_shuffled=False)[-1]
    assert said == "The right answer stands at A 25%, B 25%, C 25%, D 25% in every epoch, as options stay"
    assert not pairs("prompt=cloze").letters


def test_a_question_with_an_answer_that_is_too_long_has_no_pair():
    long = replace(QUESTIONS[0], id="long", choices=("the trout", "the whale " * 20), answer=0)
    made = pairs("objective.max_length=30", "prompt=cloze", questions=[*QUESTIONS, long])
    assert list(made.too_long) == ["long"] and made.longest <= 30 and len(made.examples) == len(QUESTIONS)
    with pytest.raises(DataError, match="no training example is left"):
        pairs("objective.max_length=5", "prompt=cloze")


def test_rows_of_pairs_are_compared_as_they_are():
    turns = (Turn("user", "Is it hot?"), Turn("assistant", "It is."))
    made = pairs(
        "data.shuffle_choices=auto", questions=[], conversations=[Conversation("c", turns, "plain", "Who knows?")]
    )
    (example,) = made.epoch(3)
    assert texts(example) == ("User: Is it hot?\n\nAssistant:", f" It is.{END}", f" Who knows?{END}")
    assert example.lengths == tuple(float(len(one.continuation)) for one in example.choices)


def test_better_answers_of_another_length_are_warned_of():
    def lengths(chosen, rejected):
        return pair_lengths([Example([], [], (), 0, (a, b)) for a, b in zip(chosen, rejected, strict=True)])

    longer = lengths([6, 7, 8, 7] * 5, [3, 3, 4, 5] * 5)
    assert (longer.chosen, longer.rejected, longer.bias) == (7, 3.75, "longer")
    assert "are longer than the worse ones, 7.0 tokens against 3.8 on average" in length_warning(longer)
    assert lengths([3, 3, 4, 5] * 5, [6, 7, 8, 7] * 5).bias == "shorter"
    assert length_warning(lengths([1, 9, 5], [5, 1, 9])) is None
    assert lengths([20, 21] * 50, [20, 20] * 50).bias is None  # sure, and small
    assert lengths([9], [3]).bias is None
