"""The hooks of mcqa's own commands for a study: values are checked before a job starts, and MLflow follows it."""

import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from mcqa.config import stages
from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import ACCURACIES, greater_is_better
from mcqa.config.schema import Config, ConfigDict, EvaluateConfig
from mcqa.config.validation import problems_of, typed
from mcqa.models import hub_cache
from mcqa.runs.files import flatten

if TYPE_CHECKING:
    from mcqa.sweep.mlflow import StudyTracker
    from mcqa.sweep.options import Direction
    from mcqa.sweep.report.write import Summary
    from mcqa.sweep.space.space import Space

BATCH_KEYS = ("optimizer.batch_size", "optimizer.gradient_accumulation_steps", "hardware.micro_batch_size")

# What changes how many questions an epoch has, and with it the points of `k/epoch`.
LENGTH_KEYS = ("data.name", "data.path", "data.limit", "data.dev_fraction", "data.splits.train")

QUESTIONS = "trials measured on different questions cannot be compared"
FOR_ALL_TRIALS = {
    "evaluation.best_metric": "values of different metrics cannot be compared",
    "evaluation.limit": QUESTIONS,
    "evaluation.before": "the base is measured once for all trials",
    "evaluation.test_limit": QUESTIONS,
    "evaluation.dev": QUESTIONS,
    "evaluation.every": "a trial that is measured more often has more chances to have the best value",
    "name": "trials have numbers and no names",
    "outputs": "a study has one folder",
    "tracking": "a study and its trials are one tree of runs in MLflow",
}
"""Keys that have one value in a study, so that the values of its trials mean the same, and why."""

OF_EVERY_RUN = (
    "torch",
    "transformers",
    "torch._dynamo",
    "transformers.modeling_utils",
    "mcqa.evaluation.report.run_report",
    "mcqa.models.loading",
    "mcqa.runs.record",
)
OF_TRAINING = ("datasets", "trl")
"""Modules that jobs import and that bring no PEFT along: it imports bitsandbytes, which looks for a GPU at once."""

OF_FILES = ("path", "header", "delimiter", "encoding", "sheet", "answers")
OF_DEV = (*OF_FILES, "name", "reader", "hub", "hub_config", "revision", "splits.dev", "seed", "bad_rows", "columns")
HELD_OUT = ("splits.train", "dev_fraction", "split_by")
"""Keys of data that decide which questions are dev, the second ones where it is held out from train."""


class RunHooks:
    """Implements mcqa.sweep.hooks.Hooks, which documents each method."""

    def __init__(self, config_name: str, kind: type[Config]) -> None:
        """config_name: of the command, such as `config` or `evaluate`. kind: the dataclass of its configuration."""
        self.config_name, self.kind = config_name, kind
        self.tracker: StudyTracker | None = None
        self.base: ConfigDict | None = None  # of a study
        self.pruned = False  # whether that prunes

    def __getstate__(self) -> dict[str, Any]:
        """What only the controller needs stays there; the rest travels with every job."""
        return self.__dict__ | {"tracker": None, "base": None}

    def complete(self, config_dict: ConfigDict, overrides: Sequence[str]) -> list[str]:
        try:
            self._read_stored_run(config_dict, overrides)
        except ConfigError as error:
            return [str(error)]
        problems = stages.expand(config_dict, self.config_name, overrides)
        keys = {problem.split(": ")[0] for problem in problems}
        problems += [text for text in problems_of(config_dict, self.kind)[1] if text.split(": ")[0] not in keys]
        if self.base is not None and not problems:
            config, base = flatten(config_dict), flatten(self.base)
            differing = [key for key in config | base if config.get(key) != base.get(key) and not _waits(base.get(key))]
            problems += self._not_comparable([key for key in differing if key != "name"], config_dict)
        return problems

    def _read_stored_run(self, config_dict: ConfigDict, overrides: Sequence[str]) -> None:
        """Read what from_run or run names here, once, and not in the job: what is written for it is what runs.

        A run that is resumed is read by the job, but the devices that the job asks for are those of the run.
        """
        own = [text for text in overrides if not text.lstrip("+~").startswith("hydra")]
        if config_dict.get("from_run") is not None:
            from mcqa.runs.repeat import repeated_config

            stored = repeated_config(config_dict, own) | {"from_run": None}
        elif config_dict.get("run") is not None:
            from mcqa.runs.repeat import config_of_evaluated_run

            stored = config_of_evaluated_run(config_dict, own)
        elif config_dict.get("resume") is not None:
            from mcqa.runs.lookup import unfinished
            from mcqa.runs.repeat import resumed_config

            unfinished(config_dict["resume"])
            stored = config_dict | {"hardware": resumed_config(config_dict, own).get("hardware")}
        else:
            return
        config_dict.clear()
        config_dict.update(stored)

    def check(self, base: ConfigDict, space: "Space", metric: str | None, pruner: str) -> list[str]:
        """What a function of the space suggests is checked by `complete`, trial by trial."""
        self.base, self.pruned = deepcopy(base), pruner != "none"
        problems = self._not_comparable([*space.distributions, *_fixed_otherwise(space, base)], base)
        best_metric = base["evaluation"]["best_metric"]
        if metric not in (None, best_metric):
            problems.append(
                f"hydra.sweeper.metric={metric}: trials are compared by the metric that chooses their best "
                f"checkpoint, evaluation.best_metric={best_metric}; set that key instead."
            )
        if pruner == "paired" and best_metric.removeprefix("dev/") not in ACCURACIES:
            problems.append(
                f"evaluation.best_metric={best_metric}: hydra/sweeper/pruner=paired compares which questions are "
                f"answered right, by {', '.join(ACCURACIES)}. Take one of them, or another pruner."
            )
        return problems

    def _not_comparable(self, varied: Sequence[str], config_dict: ConfigDict) -> list[str]:
        """Trials are compared at equal numbers of questions, which updates are not where the batch size varies."""
        problems = []
        every = config_dict["evaluation"]["every"]
        batch = ", ".join(key for key in varied if key in BATCH_KEYS)
        length = ", ".join(key for key in varied if key in (*LENGTH_KEYS, "data"))
        if batch and isinstance(every, int):
            problems.append(
                f"evaluation.every={every}: with {batch} swept, updates of different trials are not comparable; "
                "give times per epoch, such as 2/epoch."
            )
        if length and self.pruned:
            problems.append(
                f"{length}: swept, so that trials have epochs of different lengths and are measured at different "
                "points; pruning compares them at equal ones. Use hydra/sweeper/pruner=none."
            )
        reasons: dict[str, list[str]] = {}
        for key in varied:
            if reason := _reason_against(key, config_dict):
                reasons.setdefault(reason, []).append(key)
        return problems + [
            f"{', '.join(keys)}: cannot vary in a study, nor be set by hydra.sweeper.params: {reason}."
            for reason, keys in reasons.items()
        ]

    def direction(self, base: ConfigDict) -> "Direction":
        return "maximize" if greater_is_better(base["evaluation"]["best_metric"]) else "minimize"

    def observers(self, base: ConfigDict, folder: Path, params: Mapping[str, Any]) -> "Sequence[StudyTracker]":
        if base["tracking"]["name"] != "mlflow":
            return []
        from mcqa.sweep.mlflow import StudyTracker

        config = typed(base, self.kind)
        self.tracker = StudyTracker(config.tracking, folder, Path(config.outputs).absolute(), params)
        return [self.tracker]

    def finished(self, summary: "Summary", complete: bool) -> None:
        if self.tracker is None:
            return
        best = {"best": summary.value, "best_trial": float(summary.best or 0)} if summary.value is not None else {}
        counts = {f"trials/{status}": float(number) for status, number in summary.counts.items()}
        importances = {f"importance/{key}": importance for key, importance in summary.importances.items()}
        tags = {"verdict": summary.verdict, "mlflow.note.content": "\n\n".join([summary.verdict, *summary.notes])}
        self.tracker.finish(complete, best | counts | importances, tags)

    def modules(self) -> Sequence[str]:
        return (*OF_EVERY_RUN, *OF_TRAINING) if self.kind is Config else OF_EVERY_RUN

    def missing(self, config_dicts: Sequence[ConfigDict]) -> list[str]:
        try:
            configs = [hub_cache.effective_config(config_dict, self.kind) for config_dict in config_dicts]
        except ConfigError as error:
            return [str(error)]
        paths = list(dict.fromkeys(line for config in configs for line in hub_cache.missing_local_paths(config)))
        if not hub_cache.jobs_are_offline():
            return paths
        cached = list(dict.fromkeys(line for config in configs for line in hub_cache.missing_from_cache(config)))
        command = ["evaluate"] if self.kind is EvaluateConfig else []
        return [*paths, *cached, *([hub_cache.prefetch_command([*command, *sys.argv[1:]])] if cached else [])]

    def variables(self, config_dict: ConfigDict) -> Mapping[str, str]:
        return hub_cache.offline_variables()

    def memory(self, config_dicts: Sequence[ConfigDict]) -> tuple[list[str], list[str]]:
        """Only of trainings on GPUs. The size of a model is computed once for all that share it."""
        from mcqa.models import memory

        sizes: dict[str, memory.ModelSize] = {}
        lines, problems = dict[str, None](), dict[str, None]()
        for config_dict in config_dicts if self.kind is Config else []:
            config = hub_cache.effective_config(config_dict, self.kind)
            if config.hardware.device != "cuda" or config.model.vocabulary_size is not None:
                continue
            if not config.objective.trains:
                continue
            key = repr((config.model, config.peft))
            sizes[key] = sizes.get(key) or memory.model_size(config.model, config.peft)
            config = memory.decide_checkpointing(config, config.objective.max_length)
            needed = memory.estimate(config, sizes[key])
            lines[memory.describe(config, needed)] = None
            try:
                memory.check(config, needed)
            except ConfigError as error:
                problems[str(error)] = None
        return list(lines), list(problems)

    def seconds(self, config_dict: ConfigDict) -> list[float]:
        from mcqa.runs.lookup import seconds_of

        return seconds_of(Path(config_dict["outputs"]).glob(f"runs/{config_dict['name']}/*/result.json"))


def _waits(value: Any) -> bool:
    """Whether a value of the base configuration is known only in a job."""
    return isinstance(value, str) and "${" in value


def _fixed_otherwise(space: "Space", base: ConfigDict) -> list[str]:
    """Return the keys that hydra.sweeper.params fix at another value than the base configuration has."""
    fixed = OverridesParser.create().parse_overrides(list(space.fixed))
    values = flatten(base)
    return [one.key_or_group for one in fixed if one.key_or_group in values and one.value() != values[one.key_or_group]]


def _reason_against(key: str, config_dict: ConfigDict) -> str | None:
    """Return why a key cannot vary from trial to trial; a group cannot where one of its keys cannot."""
    reasons = dict(FOR_ALL_TRIALS)
    if config_dict["evaluation"].get("dev") is None:
        names = OF_DEV if config_dict["data"]["splits"]["dev"] else (*OF_DEV, *HELD_OUT)
        reasons |= {f"data.{name}": f"{QUESTIONS}; evaluation.dev=<set> gives all of them one dev" for name in names}
    related = (
        why for one, why in reasons.items() if f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.")
    )
    return next(related, None)
