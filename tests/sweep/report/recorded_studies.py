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
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.ties import StudyResult, study_result

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
    "order_seed": IntDistribution(0, 99),
    "optimizer.beta": FloatDistribution(0.01, 100, log=True),
    "data.limit": IntDistribution(0, 800),
    "scheduler": CategoricalDistribution(("cosine", "linear", "constant")),
    "experiment": CategoricalDistribution(("base", "retrieval", "text", "paraphrases", "sft", "sft_then_dpo")),
}
FACTORS, FACTOR_VALUES = (0.1, 0.3, 1.0, 3.0, 10.0), (0.002, 0.006, 0.02, 0.06, 0.2)
BASE = {
    "name": "qlora_mcqa",
    "seed": 0,
    "optimizer": {"learning_rate": 0.001, "weight_decay": 0.01},
    "peft": {"name": "qlora", "rank": 8},
    "evaluation": {"cluster": "auto"},
}


@dataclass
class Written:
    """One trial to write; name only what the test is about.

    right: which questions its predictions answer right. in_storage: whether the storage knows that it has ended.
    """

    status: str = "complete"
    value: float | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: {"optimizer.learning_rate": 0.002, "peft.rank": 4})
    right: Sequence[bool] | Sequence[Prediction] | None = None
    reports: Sequence[tuple[int, float]] = ()
    started: float = 0.0
    seconds: float = 60.0
    attempts: int = 1
    error: str | None = None
    slot: int | None = None
    in_storage: bool = True
    values: Mapping[str, Any] = field(default_factory=dict)  # of the keys whose params are factors
    default: bool | None = None


def question(number: int, **changes: Any) -> Question:
    values = {"id": f"q{number}", "question": f"Number {number}?", "choices": ("oak", "elm", "ash", "yew"), "answer": 1}
    return Question(**(values | changes))


def answered(right: Sequence[bool], **changes: Any) -> list[Prediction]:
    """Predictions whose right choice scores highest, or whose first one does."""
    scores = {True: (-5.0, -4.0, -5.0, -5.0), False: (-4.0, -5.0, -5.0, -5.0)}
    return [Prediction(question(i, **changes), scores[bool(one)], (1, 1, 1, 1)) for i, one in enumerate(right)]


def exactly(count: int, of: int, offset: int = 0) -> list[bool]:
    """`count` right answers; another offset is right about other questions."""
    return [(i + offset) % of < count for i in range(of)]


def trials(*counts: int, of: int = 100) -> list[Written]:
    """A trial for each number of right answers."""
    return [Written(right=exactly(count, of, offset=7 * i)) for i, count in enumerate(counts)]


def params(rate: float, rank: int = 8) -> dict[str, Any]:
    return {"optimizer.learning_rate": rate, "peft.rank": rank}


def mixed_study(root: Path, **changes: Any) -> Path:
    """A default trial, a better one, one pruned, one failed, one running, one waiting."""
    rows = [
        Written(right=exactly(56, 80, 20), params=params(0.001), reports=[(100, 0.3), (200, 0.6)], seconds=30),
        Written(right=exactly(60, 80, 3), params=params(0.002, 16), started=5, reports=[(100, 0.4)]),
        Written("pruned", params=params(0.01, 4), reports=[(100, 0.1)], started=40),
        Written("failed", params=params(0.009), error="OutOfMemoryError: 2 GiB", attempts=3),
        Written("running", params=params(0.003), reports=[(100, 0.5)]),
        Written("waiting", params=params(0.004), attempts=0),
    ]
    return make_study(root, rows, **changes)


def factor_study(root: Path, *counts: int, of: int = 100, **changes: Any) -> Path:
    """Trials with FACTORS of a key that is 0.02 in the configuration, and so many right answers."""
    rows = [
        Written(right=exactly(count, of, 7 * i), params={"optimizer.beta": factor}, values={"optimizer.beta": value})
        for i, (count, factor, value) in enumerate(zip(counts, FACTORS, FACTOR_VALUES, strict=False))
    ]
    given = {"space": {"optimizer.beta": "tag(factor,choice(0.1,0.3,1.0,3.0,10.0))"}} | changes
    return make_study(root, rows, **given)


def seed_study(root: Path, values: Sequence[float], name: str = "seeds-qlora_mcqa", **changes: Any) -> Path:
    rows = [Written(params={"seed": i}, value=value) for i, value in enumerate(values)]
    given = {"space": {"seed": "range(0, 9)"}, "overrides": ["+experiment=qlora_mcqa", "+sweeps=seeds"]} | changes
    return make_study(root, rows, name=name, **given)


def result_of(folder: Path) -> StudyResult:
    return study_result(read_study(folder, NOW))


def make_study(
    root: Path,
    trials: Sequence[Written],
    name: str = "core-qlora_mcqa",
    space: Mapping[str, str] = SPACE,
    metric: str | list[str] | None = "dev/acc",
    direction: str = "maximize",
    overrides: Sequence[str] = ("+experiment=qlora_mcqa", "+sweeps=core"),
    base: Mapping[str, Any] = BASE,
    journal: bool = True,
) -> Path:
    folder = root / "outputs" / "sweeps" / name
    folder.mkdir(parents=True)
    study = {
        "name": name, "created": "2025-10-09T08:53:20", "commit": "abc", "direction": direction, "metric": metric,
        "sampler": "tpe", "pruner": "median", "space": dict(space), "base": dict(base), "overrides": list(overrides),
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    if journal:
        _journal(folder, name, trials, direction)
    for number, trial in enumerate(trials):
        _files(folder / "trials" / str(number), trial)
    return folder


def value_of(trial: Written) -> float | None:
    if trial.value is None and trial.right is not None and trial.status == "complete":
        return sum(row.correct if isinstance(row, Prediction) else row for row in trial.right) / len(trial.right)
    return trial.value


def _journal(folder: Path, name: str, trials: Sequence[Written], direction: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(study_name=name, storage=storage, direction=direction)
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.add_trials([_frozen(number, trial, states) for number, trial in enumerate(trials)])


def _frozen(number: int, trial: Written, states: Mapping[str, TrialState]) -> optuna.trial.FrozenTrial:
    state = states.get(trial.status, TrialState.RUNNING) if trial.in_storage else TrialState.RUNNING
    ended = datetime.fromtimestamp(START + trial.started + trial.seconds + 1) if state.is_finished() else None
    return optuna.trial.FrozenTrial(
        number=number,
        state=state,
        value=value_of(trial) if state == TrialState.COMPLETE else None,
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
    (folder / "overrides.yaml").write_text(
        yaml.safe_dump([f"{key}={value}" for key, value in (trial.params | trial.values).items()])
    )
    if trial.attempts:
        slot = {} if trial.slot is None else {"slot": trial.slot}
        at = START + trial.started
        jobs = [{"attempt": i, "job": str(i), "submitted": at + i, **slot} for i in range(trial.attempts)]
        (folder / "job.json").write_text(json.dumps(jobs))
    if trial.reports:
        lines = [json.dumps({"point": point, "value": value, "seen": point}) for point, value in trial.reports]
        (folder / "reports.jsonl").write_text("\n".join(lines) + "\n")
    if trial.right is not None:
        rows = trial.right if any(isinstance(row, Prediction) for row in trial.right) else answered(trial.right)
        predictions.write(folder / "predictions" / "dev.jsonl", rows)
    if trial.status in ("complete", "pruned", "failed", "preempted", "paused"):
        result = {"status": trial.status, "value": value_of(trial), "seconds": trial.seconds, "error": trial.error}
        (folder / "result.json").write_text(json.dumps(result))
        os.utime(folder / "result.json", (START + trial.started + trial.seconds,) * 2)
