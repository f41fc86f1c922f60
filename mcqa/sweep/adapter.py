"""What this application adds to a study of its runs: values checked before a job starts, and MLflow."""

import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcqa.config import question_sets
from mcqa.config.errors import ConfigError
from mcqa.config.metric_names import greater_is_better
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import problems_of, typed
from mcqa.models import hub_cache
from mcqa.runs import run_folder
from mcqa.runs.files import flat

if TYPE_CHECKING:
    from mcqa.sweep.mlflow import StudyTracker
    from mcqa.sweep.report.write import Summary
    from mcqa.sweep.space.space import Space

ConfigDict = dict[str, Any]


BATCH = ("optimizer.batch_size", "optimizer.gradient_accumulation_steps", "hardware.micro_batch_size")


LENGTH = ("data.name", "data.path", "data.limit", "data.dev_fraction", "data.splits.train")
"""What changes how many questions an epoch has, and with it the points of `k/epoch`."""


class RunHooks:
    """Of mcqa.sweep.compose, which documents each."""

    def __init__(self, config_name: str, kind: type[Config]) -> None:
        self.config_name, self.kind = config_name, kind
        self.tracker: StudyTracker | None = None
        self.studied: tuple[ConfigDict, bool] | None = (
            None  # the base configuration of a study, and whether it is pruned
        )

    def missing(self, trees: Sequence[ConfigDict]) -> list[str]:
        try:
            configs = [hub_cache.effective_config(tree, self.kind) for tree in trees]
        except ConfigError as error:
            return [str(error)]
        absent = list(dict.fromkeys(line for config in configs for line in hub_cache.missing_local_paths(config)))
        if not hub_cache.jobs_are_offline():
            return absent
        lacking = list(dict.fromkeys(line for config in configs for line in hub_cache.missing_from_cache(config)))
        word = ["evaluate"] if self.kind is EvaluateConfig else []
        return [*absent, *lacking, *([hub_cache.prefetch_command([*word, *sys.argv[1:]])] if lacking else [])]

    def variables(self, tree: ConfigDict) -> Mapping[str, str]:
        return hub_cache.offline_variables()

    def memory(self, trees: Sequence[ConfigDict]) -> tuple[list[str], list[str]]:
        """Of trainings on GPUs, once for all that need the same."""
        from mcqa.models import memory

        shapes: dict[str, memory.ModelSize] = {}
        lines, problems = dict[str, None](), dict[str, None]()
        for config in (hub_cache.effective_config(tree, self.kind) for tree in trees if self.kind is Config):
            if config.hardware.device != "cuda" or config.model.vocabulary_size is not None:
                continue
            key = repr((config.model, config.peft))
            shapes[key] = shapes.get(key) or memory.model_size(config.model, config.peft)
            needed = memory.estimate(config, shapes[key])
            lines[memory.describe(config, needed)] = None
            try:
                memory.check(config, needed)
            except ConfigError as error:
                problems[str(error)] = None
        return list(lines), list(problems)

    def seconds(self, tree: ConfigDict) -> list[float]:
        from mcqa.runs.lookup import seconds_of

        return seconds_of(Path(tree["outputs"]).glob(f"runs/{tree['name']}/*/result.json"))

    def __getstate__(self) -> dict[str, Any]:
        """What only the controller needs stays there; the rest goes with every job."""
        return self.__dict__ | {"tracker": None, "studied": None}

    def complete(self, tree: ConfigDict, overrides: Sequence[str]) -> list[str]:
        try:
            self._repeat(tree, overrides)
        except ConfigError as error:
            return [str(error)]
        problems = question_sets.expand(tree, self.config_name, overrides)
        told = {problem.split(": ")[0] for problem in problems}
        problems += [text for text in problems_of(tree, self.kind)[1] if text.split(": ")[0] not in told]
        if self.studied is not None and not problems:
            base, pruned = self.studied
            problems += _not_comparable(_differing(BATCH, tree, base), tree)
            problems += _other_points(_differing(LENGTH, tree, base)) if pruned else []
        return problems

    def _repeat(self, tree: ConfigDict, overrides: Sequence[str]) -> None:
        """from_run and run are read here, once, and not by the job: what is written for it is what runs.

        A run that is resumed is read by the job, but what it computes on says what the job asks for.
        """
        own = [text for text in overrides if not text.lstrip("+~").startswith("hydra")]
        if tree.get("from_run") is not None:
            from mcqa.runs.repeat import repeated_config

            again = repeated_config(tree, own) | {"from_run": None}
        elif tree.get("run") is not None:
            from mcqa.runs.repeat import config_of_evaluated_run

            again = config_of_evaluated_run(tree, own)
        elif tree.get("resume") is not None:
            from mcqa.runs.lookup import unfinished

            again = tree | {"hardware": run_folder.config_of(unfinished(tree["resume"]))["hardware"]}
        else:
            return
        tree.clear()
        tree.update(again)

    def check(self, tree: ConfigDict, space: "Space", metric: str | None, pruned: bool) -> list[str]:
        """Trials are compared at equal numbers of questions, which updates are not where the batch size varies.

        What a function suggests is checked when its trial is complete.
        """
        self.studied = deepcopy(tree), pruned
        swept = [dimension.name for dimension in space.dimensions]
        problems = _not_comparable([name for name in swept if name in BATCH], tree)
        problems += _other_points([name for name in swept if name in (*LENGTH, "data")]) if pruned else []
        steers = tree["evaluation"]["best_metric"]
        if metric not in (None, steers):
            problems.append(
                f"hydra.sweeper.metric={metric}: trials are judged by what steers them, "
                f"evaluation.best_metric={steers}; set that key instead."
            )
        return problems

    def direction(self, tree: ConfigDict) -> Literal["maximize", "minimize"]:
        return "maximize" if greater_is_better(tree["evaluation"]["best_metric"]) else "minimize"

    def observers(self, tree: ConfigDict, folder: Path, params: Mapping[str, Any]) -> Sequence[Any]:
        if tree["tracking"]["name"] == "none":
            return []
        from mcqa.sweep.mlflow import StudyTracker

        config = typed(tree, self.kind)
        self.tracker = StudyTracker(config.tracking, folder, Path(config.outputs).absolute(), params)
        return [self.tracker]

    def finished(self, summary: "Summary", complete: bool) -> None:
        if self.tracker is None:
            return
        values = {"best": summary.value, "best_trial": float(summary.best or 0)} if summary.value is not None else {}
        counts = {f"trials/{status}": float(number) for status, number in summary.counts.items()}
        weights = {f"importance/{key}": weight for key, weight in summary.importances.items()}
        told = {"verdict": summary.verdict, "mlflow.note.content": "\n\n".join([summary.verdict, *summary.notes])}
        self.tracker.finish(complete, values | counts | weights, told)


def _not_comparable(varied: Sequence[str], tree: ConfigDict) -> list[str]:
    if not varied or not isinstance(tree["evaluation"]["every"], int):
        return []
    return [
        f"evaluation.every={tree['evaluation']['every']}: with {', '.join(varied)} swept, updates of different "
        "trials are not comparable; give times per epoch, such as 2/epoch."
    ]


def _other_points(varied: Sequence[str]) -> list[str]:
    if not varied:
        return []
    return [
        f"{', '.join(varied)}: swept, so that trials have epochs of different lengths and are measured at different "
        "points; pruning compares them at equal ones. Take hydra/sweeper/pruner=none."
    ]


def _differing(keys: Sequence[str], tree: ConfigDict, base: ConfigDict) -> list[str]:
    one, other = flat(tree), flat(base)
    return [key for key in keys if one.get(key) != other.get(key)]
