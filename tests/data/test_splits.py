"""Splits and samples depend on what is asked: nothing else moves a question from one split to another."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mcqa.data import splits
from mcqa.data.question import Question

numbers = st.lists(st.integers(0, 10_000), min_size=1, max_size=60)
seeds = st.integers(0, 5)


def question(n, id="x"):
    return Question(id, f"What is {n}?", (f"{n}", "none"), 0)


def sides(asked, seed, **shares):
    parts = splits.split_by_hash(asked, seed, shares, "cluster")
    return {q.content: side for side, questions in parts.items() for q in questions}


@given(numbers, numbers, seeds, st.randoms())
def test_reordering_appending_and_renaming_move_no_question(first, more, seed, random):
    before = sides([question(n) for n in first], seed, dev=0.3, test=0.2)
    changed = [question(n, id="y") for n in first + more]
    random.shuffle(changed)
    after = sides(changed, seed, dev=0.3, test=0.2)
    assert {content: after[content] for content in before} == before


@given(numbers, seeds)
def test_every_question_is_in_one_split_and_keeps_its_order(asked, seed):
    questions = [question(n, id=f"{at:03}") for at, n in enumerate(asked)]
    parts = splits.split_by_hash(questions, seed, {"dev": 0.5}, "cluster")
    assert sorted(q.id for part in parts.values() for q in part) == [q.id for q in questions]
    assert all(part == sorted(part, key=lambda q: q.id) for part in parts.values())
    assert not {q.content for q in parts["dev"]} & {q.content for q in parts["train"]}, "twice, on the same side"


@given(numbers, seeds, st.integers(1, 60), st.integers(1, 60))
def test_a_smaller_limit_samples_a_subset_of_a_larger_one(asked, seed, one, other):
    questions = [question(n, id=f"{at:03}") for at, n in enumerate(asked)]
    small, large = (splits.subsample(questions, seed, limit) for limit in sorted([one, other]))
    assert {q.id for q in small} <= {q.id for q in large} and len(small) == min(one, other, len(questions))
    assert small == sorted(small, key=lambda q: q.id), "in their old order"


@given(numbers, seeds, st.integers(1, 60), st.randoms())
def test_the_sample_depends_on_what_is_asked_and_not_on_its_position(asked, seed, limit, random):
    drawn = splits.subsample([question(n) for n in asked], seed, limit)
    random.shuffle(asked)
    assert sorted(q.content for q in drawn) == (
        sorted(q.content for q in splits.subsample([question(n) for n in asked], seed, limit))
    )


def test_shares_are_kept_seeds_differ_and_the_sample_is_independent_of_the_split():
    questions = [question(n) for n in range(4000)]
    parts = splits.split_by_hash(questions, 0, {"dev": 0.1, "test": 0.1}, "cluster")
    assert 340 < len(parts["dev"]) < 460 and 340 < len(parts["test"]) < 460
    assert splits.split_by_hash(questions, 1, {"dev": 0.1}, "cluster")["dev"] != parts["dev"]
    in_dev = set(splits.subsample(questions, 0, 1000)) & set(parts["dev"])
    assert 60 < len(in_dev) < 140


def test_the_split_is_the_same_on_every_machine():
    dev = splits.split_by_hash([question(n) for n in range(30)], 0, {"dev": 0.2}, "cluster")["dev"]
    assert dev == [question(n) for n in (0, 7, 8, 16, 21, 23, 27)]


@given(numbers, seeds, st.booleans())
def test_related_questions_are_in_one_split_and_appended_ones_move_none(asked, seed, by_cluster):
    related = {"cluster" if by_cluster else "context": "Some Passage  of n"}
    questions = [replace(question(n), **{name: f"{text} {n % 7}" for name, text in related.items()}) for n in asked]
    parts = splits.split_by_hash(questions, seed, {"dev": 0.3, "test": 0.3}, "cluster")
    sides = {(splits.related(one), side) for side, part in parts.items() for one in part}
    assert len(sides) == len({name for name, _ in sides}), "each cluster or passage on one side"
    fewer = splits.split_by_hash(questions[: len(asked) // 2], seed, {"dev": 0.3, "test": 0.3}, "cluster")
    assert {(splits.related(one), side) for side, part in fewer.items() for one in part} <= sides


def test_the_cluster_counts_before_the_passage_and_white_space_makes_no_other_passage():
    assert splits.related(replace(question(1), cluster="c", context="A passage.")) == "c"
    assert splits.related(replace(question(1), context="A  passage.\n")) == splits.related(
        replace(question(2), context="a passage.")
    )
    assert splits.related(question(1)) == ""


def test_a_stored_run_cuts_as_it_did_question_by_question():
    shared = [replace(question(n), context="one passage") for n in range(30)]
    dev = splits.split_by_hash(shared, 0, {"dev": 0.2}, "question")["dev"]
    assert 0 < len(dev) < 30
    alone = [question(n) for n in range(30)]
    by_question, by_cluster = (splits.split_by_hash(alone, 0, {"dev": 0.2}, by) for by in ("question", "cluster"))
    assert by_question == by_cluster, "unrelated questions are cut alike"
