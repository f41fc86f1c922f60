"""Importances over what can be compared, with intervals, and which parameters are shown to matter."""

import numpy as np
import pytest

from mcqa.sweep.report.importances import FEWEST, importances, shown_to_matter
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import NOW, Written, make_study, params


def rates(count):
    return [10 ** (-4 + 2 * i / (count - 1)) for i in range(count)]


def hill(rate):
    """Best at 0.001, in the middle of the rates."""
    return 0.9 - 0.2 * (np.log10(rate) + 3) ** 2


def of(root, rows):
    problems = []
    found = importances(read_study(make_study(root, rows), NOW), problems)
    assert problems == []
    return found


def test_final_values_are_compared_where_enough_trials_are_complete(tmp_path):
    draw = np.random.default_rng(1)
    rows = [
        Written(params=params(rate, int(draw.choice([4, 8, 16]))), value=hill(rate) + draw.normal(0, 0.01))
        for rate in rates(16)
    ]
    found = of(tmp_path, rows)
    assert (found.trials, found.point, found.matter) == (16, None, ("optimizer.learning_rate",))
    assert sum(estimate.value for estimate in found.of.values()) == pytest.approx(1)
    assert all(0 <= estimate.low <= estimate.high <= 1 for estimate in found.of.values())
    assert list(found.of) == sorted(found.of, key=lambda key: -found.of[key].value)


def test_of_a_study_that_prunes_the_last_point_counts_that_two_thirds_have_reached(tmp_path):
    rows = []
    for i, rate in enumerate(rates(15)):
        reports = [(100 * k, hill(rate) - 0.1 / k) for k in range(1, 5)]
        complete = i in (6, 7, 8)
        reached = 4 if complete else 2 if i % 5 else 1
        value = reports[-1][1] if complete else None
        rows.append(Written("complete" if complete else "pruned", value, params(rate), reports=reports[:reached]))
    found = of(tmp_path, rows)
    assert (found.point, found.trials) == (200, 12)
    assert found.matter == ("optimizer.learning_rate",) and found.of


def test_too_few_trials_have_no_importances(tmp_path):
    found = of(tmp_path, [Written(params=params(rate), value=hill(rate)) for rate in rates(FEWEST - 1)])
    assert not found.enough and found.of == {} and found.matter == ()


def test_where_chance_alone_decides_hardly_any_parameter_is_said_to_matter(tmp_path):
    """At 5 % per study; 200 studies of 16 random trials lie within 3 standard errors of that."""
    rows = [Written(params=params(rate), value=0.5) for rate in rates(16)]
    study, draw = read_study(make_study(tmp_path, rows), NOW), np.random.default_rng(1)
    wrong = sum(bool(shown_to_matter(study.swept, study.trials, draw.normal(size=16))[0]) for _ in range(200))
    assert wrong <= 20


def test_what_another_parameter_explains_is_not_counted_twice(tmp_path):
    """The rank moves with the rate, as a sampler moves them, and has no effect of its own."""
    draw = np.random.default_rng(2)
    rows = [
        Written(params=params(rate, (4, 8, 16)[3 * i // 30]), value=float(np.log10(rate) + draw.normal(0, 0.01)))
        for i, rate in enumerate(rates(30))
    ]
    assert of(tmp_path, rows).matter == ("optimizer.learning_rate",)
