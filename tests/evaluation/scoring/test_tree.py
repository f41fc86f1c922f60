"""A tree holds every token once, and a token sees in it what it would see on its path alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation.scoring import tree
from mcqa.evaluation.scoring.tree import Path, Row

token = st.integers(5, 8)  # few, so that paths begin alike
paths = st.lists(st.lists(token, min_size=1, max_size=6), min_size=1, max_size=6).map(
    lambda all_inputs: [Path(inputs, inputs[-1 - n % len(inputs) :], n) for n, inputs in enumerate(all_inputs)]
)


def read_back(row: Row):
    """For each target the tokens that its position sees, in the order of their depths, and the token scored there."""
    for position, token, choice in row.targets:
        seen = [j for j in range(position + 1) if position < row.ends[j]]
        assert [row.depths[j] for j in seen] == list(range(len(seen))), "a path from the root, nothing else"
        yield choice, [row.tokens[j] for j in seen], token


def expected(question):
    """The same of paths that are read alone."""
    for path in question:
        first = len(path.inputs) - len(path.scored)
        for i, token in enumerate(path.scored):
            yield path.choice, path.inputs[: first + i + 1], token


@settings(deadline=None)
@given(paths)
def test_every_scored_token_sees_its_own_path_in_tree_rows_and_linear_rows(question):
    for rows in (tree.tree_rows(question), tree.linear_rows(question)):
        found = [one for row in rows for one in read_back(row)]
        assert sorted(found) == sorted(expected(question))


@settings(deadline=None)
@given(paths)
def test_a_tree_holds_each_beginning_once(question):
    beginnings = {tuple(path.inputs[:n]) for path in question for n in range(1, len(path.inputs) + 1)}
    assert sum(len(row.tokens) for row in tree.tree_rows(question)) == len(beginnings)


@settings(deadline=None)
@given(paths)
def test_linear_rows_are_single_paths_and_none_continues_another(question):
    rows = tree.linear_rows(question)
    assert all(row.linear for row in rows)
    inputs = [tuple(row.tokens) for row in rows]
    assert not any(a != b and a == b[: len(a)] for a in inputs for b in inputs)


def test_letters_are_one_path_a_question():
    found = tree.paths([EncodedChoice([1, 2, 3], [letter]) for letter in (5, 6, 7)], 0, None)
    (row,) = tree.tree_rows(found)
    assert row.linear
    assert row.tokens == [1, 2, 3]
    assert sorted(row.targets) == [(2, 5, 0), (2, 6, 1), (2, 7, 2)]
    assert row.scored_positions == 1


def test_the_example_of_the_module():
    question = [Path([1, 2, 3, *branch], [9], n) for n, branch in enumerate([[4, 5], [4, 6], [7]])]
    (row,) = tree.tree_rows(question)
    assert (row.tokens, row.depths, row.ends) == ([1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 4, 3], [7, 7, 7, 6, 5, 6, 7])


def test_the_shared_prefix_ends_before_the_first_branch_and_the_first_scored_position():
    question = [Path([1, 2, 3, 4], [8], 0), Path([1, 2, 3, 5], [9, 9], 1)]
    assert tree.prefix_length(tree.tree_rows(question)) == 2  # the third token predicts a scored one
    assert tree.prefix_length([*tree.tree_rows(question), *tree.tree_rows([Path([1, 3, 4], [5], 2)])]) == 1
    assert tree.prefix_length([]) == 0


def test_a_path_that_is_too_long_loses_its_beginning_and_the_last_token_is_never_read():
    (fits,) = tree.paths([EncodedChoice([1, 2, 3], [4])], 0, 3)
    assert (fits.inputs, fits.dropped) == ([1, 2, 3], 0)
    (short,) = tree.paths([EncodedChoice([1, 2, 3], [4, 5])], 7, 3)
    assert short == Path([2, 3, 4], [4, 5], 7, dropped=1)


def test_a_choice_that_does_not_fit_by_itself_has_no_path():
    longest, longer = EncodedChoice([1, 2], [4, 5, 6]), EncodedChoice([1, 2], [4, 5, 6, 7])
    assert tree.paths([longer, longest], 0, 3) == [Path([2, 4, 5], [4, 5, 6], 1, dropped=1)]


def test_paths_that_lost_different_beginnings_share_nothing_although_they_begin_alike():
    question = [Path([1, 1, 2], [3], 0, dropped=4), Path([1, 1, 2], [4], 1, dropped=4), Path([1, 2], [3], 2, dropped=5)]
    assert [row.tokens for row in tree.tree_rows(question)] == [[1, 1, 2], [1, 2]]
    assert all(row.linear for row in tree.tree_rows(question))
