"""A study like a real one, to look at its page: python tests/sweep/example_studies.py FOLDER [TRIALS [SLOTS]]."""

import json
import sys
import time
from math import log10
from pathlib import Path

import numpy as np

from tests.sweep.report import recorded_studies
from tests.sweep.report.recorded_studies import SPACE, Written, make_study

CORE = SPACE | {
    "optimizer.weight_decay": "interval(0, 0.3)",
    "scheduler.warmup_ratio": "interval(0, 0.2)",
    "optimizer.gradient_accumulation_steps": "tag(log, int(interval(1, 64)))",
    "scheduler": "choice(cosine, linear, constant)",
}
BASE = {
    "name": "qlora_mcqa", "seed": 0, "objective": {"epochs": 1},
    "optimizer": {"learning_rate": 0.001, "weight_decay": 0.01, "gradient_accumulation_steps": 4},
    "scheduler": {"name": "cosine", "warmup_ratio": 0.05}, "peft": {"name": "qlora", "r": 8},
}  # fmt: skip


def core(count: int, slots: int, questions: int = 400, seed: int = 3) -> list[Written]:
    """Trials of a search with median pruning, some failures, and the last ones still running."""
    draw = np.random.default_rng(seed)
    hardness = draw.standard_normal(questions)
    free = [0.0] * slots
    found = []
    for number in range(count):
        params = _params(draw, number)
        skill = _skill(params)
        slot = int(np.argmin(free))
        started, seconds = free[slot] + 4, float(draw.lognormal(5.2, 0.5))
        right = [bool(one) for one in skill + draw.standard_normal(questions) * 0.9 > hardness]
        value = sum(right) / questions
        curve = [(200 * i, value - 0.25 * 0.6**i + float(draw.normal(0, 0.008))) for i in range(1, 11)]
        status = "complete"
        if number and value < 0.53 and draw.random() < 0.75:
            status, curve = "pruned", curve[: int(draw.integers(2, 6))]
            seconds *= len(curve) / 10
        elif draw.random() < 0.07:
            status, curve, seconds = "failed", curve[:1], seconds * 0.2
        if number >= count - slots + 1:
            status, curve, seconds = "running", curve[:3], 1e9
        error = None
        if status == "failed":
            error = str(draw.choice([
                "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79.1 GiB",
                "TrainingError: the loss is nan at update 37.\nTry a lower optimizer.learning_rate.",
                "vanished: no sign of life for 600 s, after 3 attempts",
            ]))  # fmt: skip
        free[slot] = started + seconds
        found.append(Written(
            status=status, params=params, right=right if status == "complete" else None, reports=curve, started=started,
            seconds=seconds, attempts=3 if error and "vanished" in error else 1, error=error, slot=slot,
        ))  # fmt: skip
    return found


def _params(draw: np.random.Generator, number: int) -> dict[str, object]:
    if number == 0:
        return {
            "optimizer.learning_rate": 0.001, "peft.rank": 8, "optimizer.weight_decay": 0.01,
            "scheduler.warmup_ratio": 0.05,
            "optimizer.gradient_accumulation_steps": 4, "scheduler": "cosine",
        }  # fmt: skip
    near = number > 10
    power = float(np.clip(draw.normal(-2.8, 0.5) if near else draw.uniform(-5, -2), -5, -2))
    return {
        "optimizer.learning_rate": 10**power, "peft.rank": int(draw.choice([4, 8, 16])),
        "optimizer.weight_decay": float(draw.uniform(0, 0.3)), "scheduler.warmup_ratio": float(draw.uniform(0, 0.2)),
        "optimizer.gradient_accumulation_steps": int(2 ** draw.uniform(0, 6)),
        "scheduler": str(draw.choice(["cosine", "linear", "constant"])),
    }  # fmt: skip


def _skill(params: dict[str, object]) -> float:
    distance = log10(float(str(params["optimizer.learning_rate"]))) + 2.8
    return (
        0.45 - 0.35 * distance**2 + 0.05 * (params["scheduler"] == "cosine") + 0.02 * int(str(params["peft.rank"])) / 16
    )


def write(root: Path, count: int, slots: int) -> Path:
    trials = core(count, slots)
    recorded_studies.START = time.time() - max(one.started for one in trials) - 60
    folder = make_study(root, trials, space=CORE, base=BASE)
    draw = np.random.default_rng(1)
    seeds = [Written(params={"seed": i}, value=float(draw.normal(0.6, 0.011)), started=60 * i) for i in range(12)]
    make_study(root, seeds, name="seeds-qlora_mcqa", space={"seed": "range(0, 12)"}, base=BASE,
               overrides=["+experiment=qlora_mcqa", "+sweeps=seeds"])  # fmt: skip
    rows = [
        {"trial": trial, "default": trial == 0, "params": {}, "runs": [
            {"seed": 100 + i, "value": float(draw.normal(mean, 0.01))} for i in range(3)]}
        for trial, mean in ((12, 0.607), (20, 0.611), (0, 0.589))
    ]  # fmt: skip
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    return folder


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 48, int((sys.argv[3:] or ["6"])[0])))
