"""What this application adds to a study of its runs: values checked before a job starts, and MLflow."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mcqa import offline, question_sets
from mcqa.config import Config, problems_of, typed
from mcqa.rules import greater_is_better

if TYPE_CHECKING:
    from mcqa.sweep.report import Summary
    from mcqa.sweep.space import Space
    from mcqa.tracking.study import StudyTracker

Tree = dict[str, Any]
BATCH = ("optimizer.batch_size", "optimizer.gradient_accumulation_steps", "hardware.micro_batch_size")


class Hooks:
    """Of mcqa.sweep.given, which documents each."""

    def __init__(self, config_name: str, kind: type[Config]) -> None:
        self.config_name, self.kind = config_name, kind
        self.tracker: StudyTracker | None = None

    def missing(self, trees: Sequence[Tree]) -> list[str]:
        if not offline.wanted():
            return []
        configs = [typed(tree, self.kind) for tree in trees if not self._knows_a_run(tree)]
        lacking = list(dict.fromkeys(line for config in configs for line in offline.missing(config)))
        return [*lacking, offline.advice(sys.argv[1:])] if lacking else []

    def variables(self, tree: Tree) -> Mapping[str, str]:
        return offline.variables()

    def seconds(self, tree: Tree) -> list[float]:
        from mcqa.sweep.dispatch import seconds_of

        return seconds_of(Path(tree["outputs"]).glob(f"runs/{tree['name']}/*/result.json"))

    def _knows_a_run(self, tree: Tree) -> bool:
        """Whether it goes on from a run, whose own configuration says what it needs."""
        return any(tree.get(key) is not None for key in ("run", "resume", "from_run"))

    def __getstate__(self) -> dict[str, Any]:
        """The tracker stays with the controller; the rest goes with every job."""
        return self.__dict__ | {"tracker": None}

    def complete(self, tree: Tree, overrides: Sequence[str]) -> list[str]:
        problems = question_sets.expand(tree, self.config_name, overrides)
        told = {problem.split(": ")[0] for problem in problems}
        return problems + [text for text in problems_of(tree, self.kind)[1] if text.split(": ")[0] not in told]

    def check(self, tree: Tree, space: "Space", pruned: bool) -> list[str]:
        """Trials are compared at equal numbers of questions, which updates are not where the batch size varies."""
        swept = [dimension.name for dimension in space.dimensions if dimension.name in BATCH]
        if swept and isinstance(tree["evaluation"]["every"], int):
            return [
                f"evaluation.every={tree['evaluation']['every']}: with {', '.join(swept)} swept, updates of different "
                "trials are not comparable; give times per epoch, such as 2/epoch."
            ]
        return []

    def direction(self, tree: Tree) -> Literal["maximize", "minimize"]:
        return "maximize" if greater_is_better(tree["evaluation"]["best_metric"]) else "minimize"

    def observers(self, tree: Tree, folder: Path, params: Mapping[str, Any]) -> Sequence[Any]:
        if tree["tracking"]["name"] == "none":
            return []
        from mcqa.tracking.study import StudyTracker

        config = typed(tree, self.kind)
        self.tracker = StudyTracker(config.tracking, folder, Path(config.outputs).absolute(), params)
        return [self.tracker]

    def finished(self, summary: "Summary", complete: bool) -> None:
        if self.tracker is None:
            return
        values = {"best": summary.values[0], "best_trial": float(summary.best or 0)} if summary.values else {}
        counts = {f"trials/{status}": float(number) for status, number in summary.counts.items()}
        weights = {
            f"importance/{key}": weight for found in summary.importances.values() for key, weight in found.items()
        }
        self.tracker.finish(complete, values | counts | weights, {"verdict": summary.verdict})
