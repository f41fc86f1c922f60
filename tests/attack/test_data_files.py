"""A damaged question file ends in a message about it, or in the same questions without the row that is damaged."""

import pytest

from tests.attack.data_files import KINDS, cases, problem

COUNT = 9 * len(KINDS)


@pytest.mark.parametrize("case", cases(0, COUNT), ids=lambda case: case.name)
def test_damage_is_named_and_costs_nothing_else(case, tmp_path):
    assert problem(case, tmp_path) is None


def test_a_seed_always_gives_the_same_cases():
    assert [case.name for case in cases(1, 50)] == [case.name for case in cases(1, 50)]
    assert [case.name for case in cases(1, 50)] != [case.name for case in cases(2, 50)]
