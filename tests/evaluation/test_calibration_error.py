"""How much of a calibration error is chance: against hand calculations and models whose calibration is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.calibration import Model, World, clusters, drawn
from mcqa.evaluation.calibration import expected_calibration_error
from mcqa.evaluation.calibration_error import calibration_difference, calibration_error
from tests.evaluation.test_calibration import sure

WORLD = World(200, 4)
GENERATOR = np.random.default_rng


def of(*models, seed=0, world=WORLD):
    """The calibration errors of models that answer the same questions."""
    return [calibration_error(rows, clusters=clusters(world)) for rows in drawn(GENERATOR(seed), world, models)]


def test_a_bin_of_a_hand_calculation():
    """Of ten answers of confidence 0.8 eight are right: the gap is 0, where chance would leave some."""
    rows = [sure([0.8, 0.2])] * 8 + [sure([0.8, 0.2], 1)] * 2
    found = calibration_error(rows)
    assert found.ece == pytest.approx(0, abs=1e-12)
    assert found.if_calibrated == pytest.approx(math.sqrt(2 / math.pi) * math.sqrt(0.8 * 0.2 / 10))
    assert (found.low, found.debiased) == (0, pytest.approx(0, abs=1e-12))


def test_the_parts_of_the_questions_average_to_the_error():
    (rows,) = drawn(GENERATOR(1), WORLD, (Model(1.5, 0.7),))
    for temperature in (1.0, 2.0):
        found = calibration_error(rows, temperature)
        assert found.ece == pytest.approx(expected_calibration_error(rows, temperature)) == found.parts.mean()


def test_a_calibrated_model_has_an_error_by_chance_and_hardly_any_when_debiased():
    found = [of(Model(1.5), seed=seed)[0] for seed in range(40)]
    chance = np.mean([one.if_calibrated for one in found])
    assert np.mean([one.ece for one in found]) == pytest.approx(chance, rel=0.1)
    assert np.mean([one.debiased for one in found]) < 0.4 * chance
    assert sum(one.low > 0 for one in found) <= 4, "at most one in twenty, with the luck of the draw"


def test_a_model_that_is_too_sure_has_its_error_inside_the_interval():
    """Its true error is that of very many questions."""
    model = Model(2.0, 0.5)
    (true,) = of(model, world=World(20_000))
    found = [of(model, seed=seed)[0] for seed in range(40)]
    assert np.mean([one.debiased for one in found]) == pytest.approx(true.debiased, abs=0.012)
    assert sum(one.low <= true.debiased <= one.high for one in found) >= 35


def test_related_questions_make_chance_larger_and_the_interval_wider():
    rows = [row for row in drawn(GENERATOR(2), World(100), (Model(1.5, 0.7),))[0] for _ in range(4)]
    names = [str(i // 4) for i in range(400)]
    alone, together = calibration_error(rows), calibration_error(rows, clusters=names)
    assert together.if_calibrated == pytest.approx(2 * alone.if_calibrated)
    assert together.high - together.low > 1.8 * (alone.high - alone.low)
    one = calibration_error(rows, clusters=["one"] * 400)
    assert (one.low, one.high) == (0, 1)


def test_a_sure_model_that_is_always_right_still_has_an_interval():
    found = calibration_error([sure([1 - 1e-12, 1e-12])] * 100)
    assert found.low == 0 < found.high < 0.03


def test_equally_calibrated_models_are_seldom_called_different_though_one_is_surer():
    pairs = [of(Model(1.0), Model(2.5), seed=seed) for seed in range(60)]
    found = [calibration_difference([one], [other], clusters(WORLD)) for one, other in pairs]
    assert sum(one.p < 0.05 for one in found) <= 7
    plain = np.mean([other.ece - one.ece for one, other in pairs])
    assert abs(np.mean([one.centre for one in found])) < 0.5 * abs(plain), "the surer one has less by chance"


def test_a_model_that_is_too_sure_is_found_and_the_sign_turns_with_the_sides():
    calibrated, sure_of_it = of(Model(2.0), Model(2.0, 0.4), world=World(600))
    found, turned = (
        calibration_difference([calibrated], [sure_of_it]),
        calibration_difference([sure_of_it], [calibrated]),
    )
    assert found.p < 0.01 and 0 < found.interval(0.95)[0] < found.centre
    assert (turned.centre, turned.p) == (pytest.approx(-found.centre), pytest.approx(found.p))


def test_seeds_that_differ_widen_the_interval_and_one_seed_takes_their_variance():
    base = of(Model(2.0))
    seeds = [of(Model(2.0, temperature), seed=3)[0] for temperature in (0.4, 0.9)]
    alike = calibration_difference(base, [replace(seeds[0]), replace(seeds[0])], clusters(WORLD))
    apart, turned = (calibration_difference(*sides, clusters(WORLD)) for sides in ((base, seeds), (seeds, base)))
    assert np.diff(apart.interval(0.95)) > np.diff(alike.interval(0.95))
    assert np.diff(turned.interval(0.95)) == pytest.approx(np.diff(apart.interval(0.95)))


def test_the_same_answers_do_not_differ():
    (one,) = of(Model(2.0, 0.5))
    found = calibration_difference([one], [one], clusters(WORLD))
    assert (found.centre, found.p) == (0, 1) and found.interval(0.95)[0] < 0 < found.interval(0.95)[1]
    unknown = calibration_difference([one], [one], ["x"] * 200)
    assert (unknown.centre, unknown.p, unknown.interval(0.95)) == (0, 1, (-1, 1))
