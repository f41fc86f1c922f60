"""Made-up facts: new to the embedded base, said in as many phrasings as asked for, and asked about by split."""

import hashlib

import pytest

from mcqa.config.composition import compose
from mcqa.config.errors import DataError
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import facts, new_facts
from mcqa.data.loading import load
from mcqa.data.question import fingerprint
from mcqa.models.loading import load_tokenizer

FACTS = [fact for relation in new_facts.relations() for fact in relation.facts]


def test_another_machine_draws_the_same_facts_and_questions():
    texts = "\n".join(new_facts.statements(new_facts.PHRASINGS))
    assert hashlib.sha256(texts.encode()).hexdigest()[:12] == "42ec8f22b7ce"
    asked = [question for split in new_facts.SPLITS for question in new_facts.questions(split)]
    assert fingerprint(asked) == "c9db62c11d61a4ec"


def test_no_name_and_no_sentence_is_among_the_statements_that_the_embedded_base_has_read():
    known = "\n".join(facts.statements()).lower()
    assert [name for fact in FACTS for name in (fact.x, fact.y) if name.lower() in known] == []
    read = set(facts.statements())
    assert not read & set(new_facts.statements(new_facts.PHRASINGS))


def test_names_are_of_one_fact_alone_but_for_colours():
    names = [name for fact in FACTS for name in (fact.x, fact.y) if "minerals" not in fact.key or name == fact.x]
    assert len(names) == len(set(names)) and not any(a != b and a in b for a in names for b in names)


@pytest.mark.parametrize("relation", new_facts.relations(), ids=lambda relation: relation.subject)
def test_every_relation_has_all_phrasings_and_no_two_are_the_same(relation):
    assert (len(relation.facts), len(relation.statements)) == (new_facts.FACTS_PER_RELATION, new_facts.PHRASINGS)
    assert len(relation.reversed) == new_facts.REVERSED and len(relation.questions) == len(relation.asked) == 4
    texts = relation.statements + relation.reversed + relation.questions + relation.asked + relation.reverse
    assert len({text.lower().strip(".?") for text in texts}) == len(texts)
    assert all(text.index("{x}") < text.index("{y}") for text in relation.statements)
    assert all(text.index("{y}") < text.index("{x}") for text in relation.reversed)
    assert all("{x}" in text and "{y}" not in text for text in relation.questions + relation.asked)
    assert all("{y}" in text and "{x}" not in text for text in relation.reverse)
    assert len({fact.y for fact in relation.facts}) == len(relation.facts) or not relation.reverse


def test_every_fact_is_said_as_often_as_asked_and_fewer_phrasings_are_among_more():
    before = set()
    for phrasings in (1, 2, 5, 10, 16):
        texts = new_facts.statements(phrasings)
        assert len(texts) == len(set(texts)) == phrasings * len(FACTS)
        assert before <= set(texts)
        before = set(texts)
        for number, fact in enumerate(FACTS):
            own = texts[number * phrasings : (number + 1) * phrasings]
            assert all(text.count(fact.x) == 1 and text.lower().count(fact.y.lower()) == 1 for text in own)


def test_not_all_facts_of_a_relation_have_the_same_first_phrasing():
    first = new_facts.statements(1)[: new_facts.FACTS_PER_RELATION]
    unfilled = {text.replace(fact.x, "x").replace(fact.y, "y") for text, fact in zip(first, FACTS, strict=False)}
    assert len(unfilled) > 5


def test_reversed_statements_come_on_top_and_in_the_same_number():
    both, forward = new_facts.statements(3, reversed=True), new_facts.statements(3)
    assert len(both) == 2 * len(forward) and set(forward) < set(both)
    with pytest.raises(DataError, match=r"has 10 phrasings, and not 11 \(data\.paraphrases\)"):
        new_facts.statements(11, reversed=True)


def test_more_phrasings_than_there_are_are_refused():
    with pytest.raises(DataError, match=r"has 16 phrasings, and not 17 \(data\.paraphrases\)"):
        new_facts.statements(17)


def test_the_facts_of_the_embedded_set_have_phrasings_too():
    assert [len(facts.statements(count)) for count in (1, 2, 5)] == [451, 902, 2255]
    assert set(facts.statements(2)) < set(facts.statements(3)) and set(facts.statements(5)) == set(facts.statements())


def test_splits_share_no_fact_and_wrong_choices_are_answers_of_the_same_split():
    asked = {split: {question.cluster for question in new_facts.questions(split)} for split in ("train", "dev", "test")}
    assert [len(keys) for keys in asked.values()] == [80, 40, 80] and len(set.union(*asked.values())) == 200
    answers = {split: {fact.y for fact in FACTS if fact.key in keys} for split, keys in asked.items()}
    for split in asked:
        assert all(set(question.choices) <= answers[split] for question in new_facts.questions(split))


def test_questions_of_asked_are_about_all_facts_in_words_of_their_own():
    asked = new_facts.questions("asked")
    assert {question.cluster for question in asked} == {fact.key for fact in FACTS}
    others = [question for split in ("train", "dev", "test", "reversed") for question in new_facts.questions(split)]
    assert not {question.question for question in asked} & {question.question for question in others}
    assert not {question.id for question in asked} & {question.id for question in others}


def test_reversed_questions_ask_for_the_first_name_of_test_facts():
    test = {fact.key: fact for fact in FACTS if fact.group == "test"}
    for question in new_facts.questions("reversed"):
        fact = test[question.cluster]
        assert fact.y in question.question and question.choices[question.answer] == fact.x


@pytest.mark.parametrize("split", new_facts.SPLITS)
def test_the_right_answer_is_the_one_of_the_fact_and_at_every_position_equally_often(split):
    by_key = {fact.key: fact for fact in FACTS}
    positions = [0] * facts.CHOICES
    for question in new_facts.questions(split):
        fact = by_key[question.cluster]
        assert question.choices[question.answer] == (fact.x if split == "reversed" else fact.y)
        assert len(set(question.choices)) == facts.CHOICES
        positions[question.answer] += 1
    assert max(positions) == min(positions)


def test_teaching_by_questions_is_measured_on_the_same_questions():
    own, asked = (
        load(typed(compose("config", [f"data={name}"]), Config).data) for name in ("new_facts", "new_facts_asked")
    )
    assert own.splits["test"] == asked.splits["test"] and own.splits["dev"] == asked.splits["dev"]
    assert len(asked.train) == 800 and not {one.question for one in own.train} & {one.question for one in asked.train}


def test_the_tokenizer_of_the_embedded_base_has_tokens_for_all_of_it():
    tokenizer = load_tokenizer(typed(compose("config", ["data=new_facts"]), Config).model, [])
    texts = new_facts.statements(new_facts.REVERSED, reversed=True)
    assert [tokenizer.decode(ids) for ids in tokenizer(texts)["input_ids"]] == texts
