"""How often the interval of a calibration error holds the true one, and how often equal ones are called different.

python benchmarks/calibration.py [repetitions]

Worlds: a model sees the right one of four choices through normal noise, and its scores are the exact logarithms of its
probabilities (it is calibrated) divided by a temperature (below 1: it is too sure). Half of the noise is common to the
questions of a cluster, and part of it to the two models of a pair.
"""

import math
import sys
from typing import NamedTuple

import numpy as np

from mcqa.data.question import Question
from mcqa.evaluation.calibration_error import CalibrationError, calibration_difference, calibration_error
from mcqa.evaluation.predictions import Prediction

CHOICES, COMMON = 4, 0.6  # share of a model's noise that the other one has too


class Model(NamedTuple):
    strength: float
    temperature: float = 1.0


class World(NamedTuple):
    questions: int
    cluster_size: int = 1


WORLDS = (World(300), World(672, 4), World(2000))
MODELS = (Model(1.5), Model(2.5), Model(1.5, 0.9), Model(1.5, 0.8), Model(2.0, 0.6))
PAIRS = (
    (Model(1.5), Model(1.5)),
    (Model(1.0), Model(2.5)),
    (Model(2.0, 0.6), Model(2.0, 0.6)),
    (Model(1.5), Model(1.5, 0.8)),
    (Model(2.0), Model(2.0, 0.6)),
)


def drawn(generator: np.random.Generator, world: World, models: tuple[Model, ...]) -> list[list[Prediction]]:
    """Return the predictions of each model for the same questions."""
    n, groups = world.questions, np.arange(world.questions) // world.cluster_size
    noise = generator.normal(size=(n, CHOICES))
    if world.cluster_size > 1:
        noise = math.sqrt(0.5) * (noise + generator.normal(size=(groups[-1] + 1, CHOICES))[groups])
    answers = generator.integers(CHOICES, size=n)
    asked = [Question(f"{i}", "?", tuple("abcd"), int(answer)) for i, answer in enumerate(answers)]
    rows = []
    for model in models:
        own = math.sqrt(COMMON) * noise + math.sqrt(1 - COMMON) * generator.normal(size=(n, CHOICES))
        scores = model.strength / model.temperature * (model.strength * np.eye(CHOICES)[answers] + own)
        scores -= np.log(np.exp(scores).sum(1, keepdims=True))
        rows.append([Prediction(q, tuple(map(float, s)), (1,) * CHOICES) for q, s in zip(asked, scores, strict=True)])
    return rows


def clusters(world: World) -> list[str] | None:
    return None if world.cluster_size == 1 else [str(i // world.cluster_size) for i in range(world.questions)]


def true_error(model: Model) -> float:
    """Return the calibration error of very many questions; 0 for a calibrated model, whatever chance leaves of it."""
    if model.temperature == 1:
        return 0.0
    [rows] = drawn(np.random.default_rng(1), World(50_000), (model,))
    return calibration_error(rows).debiased


def estimated(generator: np.random.Generator, world: World, models: tuple[Model, ...]) -> list[CalibrationError]:
    return [calibration_error(rows, clusters=clusters(world)) for rows in drawn(generator, world, models)]


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    truth = {model: true_error(model) for model in {*MODELS, *(model for pair in PAIRS for model in pair)}}
    print(f"{repetitions} repetitions\nquestions, cluster size, strength, temperature: true, mean of ece, of")
    print("if_calibrated, of debiased; share of the intervals that hold the true one")
    for world in WORLDS:
        for model in MODELS:
            generator = np.random.default_rng(0)
            found = [estimated(generator, world, (model,))[0] for _ in range(repetitions)]
            means = [np.mean([getattr(one, name) for one in found]) for name in ("ece", "if_calibrated", "debiased")]
            held = np.mean([one.low <= truth[model] <= one.high for one in found])
            print(*world, *model, f"{truth[model]:.3f}", *(f"{mean:.3f}" for mean in means), f"{held:.3f}", flush=True)
    print("\nquestions, cluster size, models: true difference, mean estimate; share of the intervals that hold it,")
    print("share significant at 5 %, and the same of the difference of ece as it is")
    for world in WORLDS:
        for pair in PAIRS:
            generator, true = np.random.default_rng(0), truth[pair[1]] - truth[pair[0]]
            both = [estimated(generator, world, pair) for _ in range(repetitions)]
            found = [calibration_difference([one], [other], clusters(world)) for one, other in both]
            intervals = [one.interval(0.95) for one in found]
            held = np.mean([low <= true <= high for low, high in intervals])
            significant = np.mean([one.p < 0.05 for one in found])
            plain = [other.ece - one.ece for one, other in both]
            off = [abs(raw) > (high - low) / 2 for raw, (low, high) in zip(plain, intervals, strict=True)]
            print(
                *world, *pair[0], *pair[1], f"{true:+.3f}", f"{np.mean([one.centre for one in found]):+.3f}",
                f"{held:.3f}", f"{significant:.3f}", f"{np.mean(plain):+.3f}", f"{np.mean(off):.3f}", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
