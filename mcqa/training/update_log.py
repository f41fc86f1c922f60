"""Keep what every single update was like, and warn once of what is wrong while training goes on."""

import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from mcqa.evaluation.doctor import answer_rules, updates
from mcqa.evaluation.doctor.findings import Finding
from mcqa.evaluation.doctor.history import History, Setup
from mcqa.evaluation.doctor.rules import diagnose_running
from mcqa.evaluation.doctor.stored import answers_of
from mcqa.evaluation.doctor.updates import Update
from mcqa.evaluation.predictions import Prediction
from mcqa.runs import processes

log = logging.getLogger(__name__)

RECENT = 256
"""Updates that the rules look at while training goes on; at the end they look at all."""


class UpdateLog(TrainerCallback):  # type: ignore[misc]
    """Write loss, gradient norm and learning rate of every update to updates.csv whenever the curves are logged,
    and before a checkpoint.

    Until then they stay on the device, where nothing waits for them. The trainer sets `loss` and `grad_norm`. A run
    that is resumed appends to the file. folder: of the run; None for nowhere. setup: of the run, to warn by; None for
    no warnings. answers: the predictions of the latest measurement of dev.
    """

    loss: Any = float("nan")
    grad_norm: Any = None

    def __init__(
        self, folder: Path | None = None, setup: Setup | None = None, answers: Sequence[Prediction] = ()
    ) -> None:
        self.folder, self.setup, self.answers = folder, setup, answers
        self.learning_rate = 0.0
        self.waiting: list[tuple[int, Any, Any, float]] = []
        self.recent: deque[Update] = deque(maxlen=RECENT)
        self.said: set[str] = set()
        self.failed = False

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.learning_rate = float(kwargs["optimizer"].param_groups[0]["lr"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.waiting.append((state.global_step, self.loss, self.grad_norm, self.learning_rate))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        if "loss" in logs:  # in every process at once
            self.write()

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.setup is not None and (answers := answers_of(self.answers)):
            finding = answer_rules.same_answer(answers, self.setup.letters)
            self._warn(state.global_step, [finding] if finding else [])

    def write(self) -> None:
        """Write what is not yet written; every process of the run must call it. A disk that takes nothing stops no
        run."""
        count, waiting = processes.world_size(), self.waiting
        losses = [loss / count for loss in processes.all_reduce_sum([float(loss) for _, loss, _, _ in waiting])]
        norms = [float("nan") if norm is None else float(norm) for _, _, norm, _ in waiting]
        new = [
            Update(number, loss, norm, rate)
            for (number, _, _, rate), loss, norm in zip(waiting, losses, norms, strict=True)
        ]
        self.waiting = []
        if self.folder is None or not processes.is_first() or not new:
            return
        try:
            updates.append(self.folder / updates.FILE, new)
        except OSError as error:
            if not self.failed:
                log.warning("%s cannot be written: %s. The run continues.", self.folder / updates.FILE, error.strerror)
            self.failed = True
        self.recent.extend(new)
        if self.setup is not None:
            history = History(self.setup, list(self.recent), ended=False)
            self._warn(new[-1].number, diagnose_running(history))

    def _warn(self, update: int, findings: Sequence[Finding]) -> None:
        for finding in findings:
            if finding.name not in self.said and processes.is_first():
                self.said.add(finding.name)
                log.warning("Update %d: %s", update, finding.line())
