"""The best of many: what is told apart from it, and how often that is wrong (more worlds: benchmarks/chosen.py)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation import statistics
from mcqa.evaluation.statistics import p_values_against_best
from mcqa.evaluation.statistics.best_of_many import SIGN_FLIPS

UNCERTAIN = 0.02  # of a share near .05 that FLIPS draws tell, with room


def answers(draw, models, questions, flips):
    """Equal models: what all share, and chance."""
    return ((draw.random(questions) < 0.75) ^ (draw.random((models, questions)) < flips)).tolist()


@given(st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_of_two_models_it_is_mcnemars_exact_test(gained, lost):
    before, after = [True] * lost + [False] * gained + [True] * 9, [False] * lost + [True] * gained + [True] * 9
    ps = p_values_against_best([before, after], 1)
    assert ps[1] == 1
    assert ps[0] == pytest.approx(statistics.mcnemar(before, after).p, abs=UNCERTAIN)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_nobodys_p_is_below_that_of_the_comparison_alone_and_more_models_make_none_smaller(models, seed):
    right = answers(np.random.default_rng(seed), models + 2, 60, 0.2)
    best = max(range(models + 1), key=lambda k: sum(right[k]))
    fewer = p_values_against_best(right[:-1], best)
    alone = [statistics.mcnemar(right[best], one).p for one in right[:-1]]
    assert all(p >= one - UNCERTAIN for p, one in zip(fewer, alone, strict=True))
    more = p_values_against_best([*right[:-1], right[best]], best)  # a copy of the best
    assert more[:-1] == pytest.approx(fewer, abs=UNCERTAIN) and more[-1] == 1


def test_the_order_of_the_models_changes_nothing_and_the_greater_difference_has_the_smaller_p():
    right = answers(np.random.default_rng(3), 12, 200, 0.2)
    totals = [sum(one) for one in right]
    best = int(np.argmax(totals))
    ps = p_values_against_best(right, best)
    turned = p_values_against_best(right[::-1], 11 - best)[::-1]
    assert turned == pytest.approx(ps, abs=UNCERTAIN)
    assert min(ps) > 1 / (SIGN_FLIPS + 2)


def test_clusters_flip_as_wholes():
    better, worse = [True] * 60 + [False] * 40, [True] * 40 + [False] * 60
    assert p_values_against_best([better, worse], 0)[1] < 0.001
    names = [f"c{i // 10}" for i in range(100)]
    assert p_values_against_best([better, worse], 0, names)[1] == pytest.approx(0.5, abs=UNCERTAIN)
    assert p_values_against_best([better, worse], 0, ["one"] * 100) == [1, 1]


def test_models_that_answer_alike_are_never_told_apart():
    assert p_values_against_best([[True, False, True]] * 5, 2) == [1] * 5
    assert p_values_against_best([[True]], 0) == [1]


def test_answers_to_other_questions_are_refused():
    with pytest.raises(ValueError, match=r"not to \[2, 1\]"):
        p_values_against_best([[True, False], [True]], 0)
    with pytest.raises(ValueError, match="no questions"):
        p_values_against_best([[], []], 0)


def test_of_equal_models_one_is_called_worse_in_about_one_study_of_twenty():
    draw, studies, wrong, wrong_by_holm = np.random.default_rng(5), 200, 0, 0
    for _ in range(studies):
        right = answers(draw, 16, 200, 0.15)
        best = max(range(16), key=lambda k: sum(right[k]))
        wrong += min(p_values_against_best(right, best, flips=1000)) < 0.05
        others = [statistics.mcnemar(right[best], one).p for k, one in enumerate(right) if k != best]
        wrong_by_holm += min(statistics.holm(others)) < 0.05
    assert wrong / studies <= 0.08
    assert wrong_by_holm / studies > 0.08  # as if the best had been named before


def test_a_model_that_is_much_worse_is_found_among_sixteen():
    draw, found = np.random.default_rng(6), 0
    for _ in range(40):
        right = answers(draw, 16, 400, 0.15)
        right[-1] = [one and draw.random() > 0.16 for one in right[-1]]
        best = max(range(16), key=lambda k: sum(right[k]))
        found += p_values_against_best(right, best, flips=1000)[-1] < 0.05
    assert found >= 30
