"""Studies that take no training: a real Optuna journal and the trials' files, as a sweep leaves them."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from mcqa.data.question import Question
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import Prediction

START = 1_760_000_000.0
NOW = START + 3600
SPACE = {"optimizer.learning_rate": "tag(log, interval(1e-5, 1e-2))", "peft.rank": "choice(4, 8, 16)"}
DISTRIBUTIONS = {
    "optimizer.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "peft.rank": CategoricalDistribution((4, 8, 16)),
    "optimizer.weight_decay": FloatDistribution(0.0, 0.3),
    "scheduler.warmup_ratio": FloatDistribution(0.0, 0.2),
    "optimizer.gradient_accumulation_steps": IntDistribution(1, 64, log=True),
    "seed": IntDistribution(0, 99),
    "scheduler": CategoricalDistribution(("cosine", "linear", "constant")),
}
BASE = {
    "name": "qlora_mcqa",
    "seed": 0,
    "optimizer": {"learning_rate": 0.001, "weight_decay": 0.01},
    "peft": {"name": "qlora", "r": 8},
    "evaluation": {"cluster": "auto"},
}


@dataclass
class Written:
    """One trial to write; name only what the test is about. right: which questions its predictions answer right."""

    status: str = "complete"
    value: float | Sequence[float] | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: {"optimizer.learning_rate": 0.002, "peft.rank": 4})
    right: Sequence[bool] | Sequence[Prediction] | None = None
    reports: Sequence[tuple[int, float]] = ()
    started: float = 0.0
    seconds: float = 60.0
    attempts: int = 1
    error: str | None = None
    slot: int | None = None
    told: bool = True
    default: bool | None = None


def question(number: int, **changes: Any) -> Question:
    plain = {"id": f"q{number}", "question": f"Number {number}?", "choices": ("oak", "elm", "ash", "yew"), "answer": 1}
    return Question(**(plain | changes))


def answered(right: Sequence[bool], **changes: Any) -> list[Prediction]:
    """The right choice scores highest, or the first one does."""
    scores = {True: (-5.0, -4.0, -5.0, -5.0), False: (-4.0, -5.0, -5.0, -5.0)}
    return [Prediction(question(i, **changes), scores[bool(one)], (1, 1, 1, 1)) for i, one in enumerate(right)]


def exactly(count: int, of: int, offset: int = 0) -> list[bool]:
    """`count` right answers; another offset is right about other questions."""
    return [(i + offset) % of < count for i in range(of)]


def make_study(
    root: Path,
    trials: Sequence[Written],
    name: str = "core-qlora_mcqa",
    space: Mapping[str, str] = SPACE,
    metric: str | list[str] | None = "dev/acc",
    directions: Sequence[str] = ("maximize",),
    overrides: Sequence[str] = ("+experiment=qlora_mcqa", "+sweeps=core"),
    base: Mapping[str, Any] = BASE,
    journal: bool = True,
) -> Path:
    folder = root / "outputs" / "sweeps" / name
    folder.mkdir(parents=True)
    direction = directions[0] if len(directions) == 1 else list(directions)
    study = {
        "name": name, "created": "2025-10-09T08:53:20", "commit": "abc", "direction": direction, "metric": metric,
        "sampler": "tpe", "pruner": "median", "space": dict(space), "base": dict(base), "overrides": list(overrides),
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    if journal:
        _journal(folder, name, trials, directions)
    for number, trial in enumerate(trials):
        _files(folder / "trials" / str(number), trial)
    return folder


def values(trial: Written) -> list[float] | None:
    if trial.value is not None:
        return list(trial.value) if isinstance(trial.value, (list, tuple)) else [float(trial.value)]
    if trial.right is not None and trial.status == "complete":
        return [sum(one.correct if isinstance(one, Prediction) else one for one in trial.right) / len(trial.right)]
    return None


def _journal(folder: Path, name: str, trials: Sequence[Written], directions: Sequence[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(study_name=name, storage=storage, directions=list(directions))
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.add_trials([_frozen(number, trial, states) for number, trial in enumerate(trials)])


def _frozen(number: int, trial: Written, states: Mapping[str, TrialState]) -> optuna.trial.FrozenTrial:
    state = states.get(trial.status, TrialState.RUNNING) if trial.told else TrialState.RUNNING
    ended = datetime.fromtimestamp(START + trial.started + trial.seconds + 1) if state.is_finished() else None
    return optuna.trial.FrozenTrial(
        number=number,
        state=state,
        value=None,
        values=values(trial) if state == TrialState.COMPLETE else None,
        datetime_start=datetime.fromtimestamp(START + trial.started - 1),
        datetime_complete=ended,
        params=dict(trial.params),
        distributions={key: DISTRIBUTIONS[key] for key in trial.params},
        user_attrs=({"error": trial.error} if trial.error else {})
        | ({} if trial.default is None else {"default": trial.default}),
        system_attrs={},
        intermediate_values=dict(trial.reports),
        trial_id=number,
    )


def _files(folder: Path, trial: Written) -> None:
    folder.mkdir(parents=True)
    (folder / "overrides.yaml").write_text(yaml.safe_dump([f"{key}={value}" for key, value in trial.params.items()]))
    if trial.attempts:
        slot = {} if trial.slot is None else {"slot": trial.slot}
        at = START + trial.started
        jobs = [{"attempt": i, "job": str(i), "submitted": at + i, **slot} for i in range(trial.attempts)]
        (folder / "job.json").write_text(json.dumps(jobs))
    if trial.reports:
        lines = [json.dumps({"point": point, "value": value, "seen": point}) for point, value in trial.reports]
        (folder / "reports.jsonl").write_text("\n".join(lines) + "\n")
    if trial.right is not None:
        rows = [one if isinstance(one, Prediction) else answered([one])[0] for one in trial.right]
        plain = not any(isinstance(one, Prediction) for one in trial.right)
        predictions.write(folder / "predictions" / "dev.jsonl", answered(trial.right) if plain else rows)
    if trial.status in ("complete", "pruned", "failed", "preempted"):
        found = values(trial) or [None]
        value = found[0] if len(found) == 1 else found
        result = {"status": trial.status, "value": value, "seconds": trial.seconds, "error": trial.error}
        (folder / "result.json").write_text(json.dumps(result))
        os.utime(folder / "result.json", (START + trial.started + trial.seconds,) * 2)
