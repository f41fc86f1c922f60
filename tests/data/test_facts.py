"""The embedded questions: true to their tables, the same everywhere, and no fact in two splits."""

import os
import subprocess
import sys
from collections import Counter
from itertools import combinations

import pytest

from mcqa.data import facts
from mcqa.data.question import Question, fingerprint

SPLITS = list(facts.SPLITS)
RELATIONS = {relation.facts[0].key.rsplit("/", 1)[0]: relation for relation in facts.relations()}
ALL = [question for split in SPLITS for question in facts.questions(split)]


def fact_key(question: Question) -> str:
    """Both directions of a fact and all its phrasings have this key in common."""
    return question.id.rsplit("/", 1)[0]


def asked_from(question: Question) -> tuple[facts.Relation, facts.Fact, str]:
    """The relation and fact behind a question, and the side it asks for."""
    key, number = question.id.rsplit("/", 1)
    relation = RELATIONS[key.rsplit("/", 1)[0]]
    fact = next(fact for fact in relation.facts if fact.key == key)
    return relation, fact, "y" if int(number) <= len(relation.questions) else "x"


def capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def test_there_are_at_least_1500_questions_with_ids_and_contents_of_their_own():
    assert len(ALL) >= 1500
    assert len({question.id for question in ALL}) == len(ALL)
    assert len({question.content for question in ALL}) == len(ALL)


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_gets_about_its_share_of_the_facts(split):
    split_facts = {fact_key(question) for question in facts.questions(split)}
    all_facts = {fact_key(question) for question in ALL}
    assert 100 * len(split_facts) / len(all_facts) == pytest.approx(facts.SPLITS[split], abs=5)


def test_no_fact_is_asked_about_in_two_splits_from_either_end():
    asked = {split: {fact_key(question) for question in facts.questions(split)} for split in SPLITS}
    for one, other in combinations(SPLITS, 2):
        assert not asked[one] & asked[other]


def test_the_questions_of_a_fact_and_no_others_go_together():
    assert all(question.cluster == fact_key(question) for question in ALL)
    assert max(Counter(question.cluster for question in ALL).values()) > 1


@pytest.mark.parametrize("split", SPLITS)
def test_every_position_is_right_equally_often_within_a_subject(split):
    positions = Counter((question.subject, question.answer) for question in facts.questions(split))
    for subject in {question.subject for question in ALL}:
        counts = [positions[subject, position] for position in range(facts.CHOICES)]
        assert max(counts) - min(counts) <= 1, subject


def test_phrasing_does_not_give_the_position_away():
    positions = Counter((question.id.rsplit("/", 1)[1], question.answer) for question in ALL)
    for number in "1234":
        counts = [positions[number, position] for position in range(facts.CHOICES)]
        assert min(counts) > sum(counts) / 6


def test_the_marked_choice_is_what_the_table_says():
    for question in ALL:
        _, fact, side = asked_from(question)
        assert question.choices[question.answer] == getattr(fact, side)


def test_wrong_choices_are_of_the_same_relation_distinct_and_never_right():
    for question in ALL:
        relation, fact, side = asked_from(question)
        assert len(set(question.choices)) == facts.CHOICES
        wrong = set(question.choices) - {question.choices[question.answer]}
        given, here = ("x", fact.x) if side == "y" else ("y", fact.y)
        right = {getattr(other, side) for other in relation.facts if getattr(other, given) == here}
        assert wrong <= {getattr(other, side) for other in relation.facts} - right


def test_wrong_choices_come_from_the_same_group_where_it_is_large_enough():
    berlin = next(question for question in ALL if question.id == "countries/capital/germany/1")
    capitals = RELATIONS["countries/capital"]
    europe = {fact.y for fact in capitals.facts if fact.group == "Europe"}
    assert set(berlin.choices) <= europe


def test_two_calls_give_the_same_questions():
    assert fingerprint(facts.questions("test")) == fingerprint(facts.questions("test"))


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_with_another_hash_seed_gives_the_same_questions(hash_seed):
    script = (
        "from mcqa.data import facts; from mcqa.data.question import fingerprint;"
        "print(*(fingerprint(facts.questions(split)) for split in facts.SPLITS))"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    there = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.split() == [fingerprint(facts.questions(split)) for split in SPLITS]


def test_every_statement_is_a_sentence_that_names_both_sides_of_its_fact():
    expected = [
        (fact, phrasing)
        for relation in facts.relations()
        for fact in relation.facts
        for phrasing in relation.statements
    ]
    for sentence, (fact, phrasing) in zip(facts.statements(), expected, strict=True):
        assert sentence.endswith(".") and sentence[0] == sentence[0].upper() and "{" not in sentence
        assert "{x}" in phrasing and "{y}" in phrasing
        for name in (fact.x, fact.y):
            assert name in sentence or sentence.startswith(capitalised(name))


def test_questions_end_in_a_question_mark_and_leave_their_answer_out():
    for relation in facts.relations():
        for phrasings, given, asked in ((relation.questions, "{x}", "{y}"), (relation.reverse, "{y}", "{x}")):
            for phrasing in phrasings:
                assert phrasing.endswith("?") and given in phrasing and asked not in phrasing


def test_every_relation_says_a_fact_five_times_and_from_both_ends():
    for name, relation in RELATIONS.items():
        x_first = [phrasing.index("{x}") < phrasing.index("{y}") for phrasing in relation.statements]
        assert len(set(relation.statements)) == facts.PHRASINGS and set(x_first) == {True, False}, name


def test_only_relations_without_a_shared_answer_are_asked_in_reverse():
    for name, relation in RELATIONS.items():
        shared = len({fact.y for fact in relation.facts}) < len(relation.facts)
        assert not (shared and relation.reverse), name


def test_every_name_in_the_tables_is_text_even_nobelium_whose_symbol_is_no_in_yaml():
    for relation in facts.relations():
        for fact in relation.facts:
            assert isinstance(fact.x, str) and isinstance(fact.y, str), fact
            assert fact.x == fact.x.strip() and fact.y == fact.y.strip(), fact
    assert "No" in {fact.y for fact in RELATIONS["chemistry/symbol"].facts}


def test_an_unknown_split_is_a_bug():
    with pytest.raises(AssertionError, match="validation"):
        facts.questions("validation")
