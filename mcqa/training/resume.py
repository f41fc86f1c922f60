"""A training that can be stopped anywhere: what transformers' Trainer lacks to go on exactly where it was.

Its checkpoints hold weights, optimizer, schedule, scaler, random states, position in the data and callbacks. Here they
are written aside and moved into place, hold the loss since the last point of the curve too, are also written between
two measurements, and before one that a signal interrupts, which is then made up for.
"""

import errno
import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import SaveStrategy

from mcqa.config.errors import TrainingError
from mcqa.runs import signals
from mcqa.runs.files import FULL, is_stall
from mcqa.runs.run_folder import shown
from mcqa.runs.trial import Preempted
from mcqa.training import checkpoints

log = logging.getLogger(__name__)

SHARE = 0.05
"""Of the time that saving may take, whatever interval is asked for."""

WAITS_S = (5.0, 30.0, 120.0)
"""Before a checkpoint is written again that a stalled file system did not take."""


class CheckpointSchedule(TrainerCallback):  # type: ignore[misc]
    """Asks for a checkpoint `every_s` after the last one, and once more when the run is asked to stop.

    every_s: seconds; None: only after measurements. Slow writing stretches it, so that saving takes SHARE at most.
    """

    def __init__(self, every_s: float | None) -> None:
        self.every_s = every_s
        self.saved, self.took = time.monotonic(), 0.0
        self.stopping = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stopping, due = any_rank([signals.watch().asked is not None, self.due()], args.device)
        if self.stopping or due:
            control.should_save = True

    def due(self) -> bool:
        if self.every_s is None:
            return False
        return time.monotonic() - self.saved >= max(self.every_s, self.took * (1 - SHARE) / SHARE)


def any_rank(flags: list[bool], device: torch.device) -> list[bool]:
    """Each flag as soon as one of the processes has it, in all of them."""
    if not _has_others():
        return flags
    raised = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return [bool(flag) for flag in raised.tolist()]


def _has_others() -> bool:
    return bool(dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


class Resumable(Trainer):  # type: ignore[misc]
    """Stands before the trainer's own class.

    keep: checkpoints kept besides the best one. flush: called before one counts, for what must not lag behind it.
    """

    saves: CheckpointSchedule
    keep: int
    flush: Callable[[], None]

    def resume(self) -> Any:
        """Train to the end, from the newest checkpoint that is whole; self.model is then the best measured state."""
        folder = Path(self.args.output_dir)
        with signals.defer_signals():
            newest = self._newest(folder)
            if newest is not None and _is_finished(newest) and not self._is_sharded:  # which only the loop can load
                self.state = TrainerState.load_from_json(str(newest / checkpoints.STATE))
                self._find_best(newest)
                self._load_best_model()
                return None
            self._resumed_from = newest
            return self.train(resume_from_checkpoint=None if newest is None else str(newest))

    def _newest(self, folder: Path) -> Path | None:
        """One process looks, tidies up and warns; the others are told."""
        found = [checkpoints.newest(folder) if self.args.process_index == 0 and folder.is_dir() else None]
        if _has_others():
            dist.broadcast_object_list(found, device=self.args.device)
        return found[0]

    # --- writing ------------------------------------------------------------------------------------------------------

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """A signal stops a measurement; the checkpoint then says that it is still to be made."""
        try:
            if self.saves.stopping:
                signals.watch().check()
                raise Preempted("Stopped by a signal to another process of the run.")
            with signals.defer_signals(patient=self.args.world_size > 1):
                found: dict[str, float] = self.measured()
        except Preempted:
            self.saves.stopping = True
            self._save_checkpoint(self.model_wrapped, None)
            raise
        self.log(dict(found))
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def measured(self) -> dict[str, float]:
        raise NotImplementedError

    def _get_output_dir(self, trial: Any) -> str:
        folder = Path(self.args.output_dir)
        return str(checkpoints.aside(folder) if self._is_writing else folder)

    _is_writing = False

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """
        Raises:
            TrainingError: when the disk does not take it; the checkpoints before are then untouched.
            Preempted: after it was saved, where the run was asked to stop.
        """
        began, folder = time.monotonic(), Path(self.args.output_dir)
        for wait in (*WAITS_S, None):
            reason, stalled = self._attempt(model, folder)
            if reason is None:
                break
            if wait is None or not stalled:
                raise TrainingError(_not_written(folder, self.state.global_step, reason))
            log.warning("The checkpoint could not be written (%s); trying again in %d s.", reason, wait)
            time.sleep(wait)
        if self.args.should_save:
            checkpoints.rotate(folder, self.keep, self.state.best_global_step)
        self._find_best(folder / checkpoints.name(self.state.global_step))
        self.saves.saved = time.monotonic()
        self.saves.took = self.saves.saved - began
        if self.saves.stopping:
            raise Preempted(f"Stopped by {signals.watch().asked or 'another process of the run'}.")

    def _attempt(self, model: Any, folder: Path) -> tuple[str | None, bool]:
        """Why the checkpoint could not be written in one of the processes, and whether that may pass.

        Raises:
            Exception: where it is no matter of the disk, in the process that it happened to; DistError in the others.
        """
        problem: Exception | None = None
        try:
            self._write(model, folder)
        except Preempted:
            raise
        except Exception as error:  # a full disk has many names: OSError, RuntimeError of torch, of safetensors
            if self._is_sharded and _is_of_disk(error, folder):  # the others wait within the writing, not out here
                raise TrainingError(_not_written(folder, self.state.global_step, str(error))) from error
            if self._is_sharded:
                raise
            problem = error
        if not self._failed(problem) and self.args.should_save:
            try:
                self.flush()
                checkpoints.commit(folder, self.state.global_step)
            except OSError as error:
                problem = error
        if not self._failed(problem):
            return None, False
        if self.args.should_save:
            shutil.rmtree(checkpoints.aside(folder), ignore_errors=True)
        if problem is not None and not _is_of_disk(problem, folder):
            raise problem
        return _of_all(problem, folder)

    def _failed(self, problem: Exception | None) -> bool:
        return any_rank([problem is not None], self.args.device)[0]

    @property
    def _is_sharded(self) -> bool:
        return bool(self.is_deepspeed_enabled or self.is_fsdp_enabled)

    def _write(self, model: Any, folder: Path) -> None:
        self._is_writing = True
        strategy, self.args.save_strategy = self.args.save_strategy, SaveStrategy.NO  # else all wait for the first one,
        try:  # which may have failed, only to look for the best checkpoint: _find_best does
            Trainer._save_checkpoint(self, model, None)  # TRL's would write a model card beside
            unlogged = {
                "loss": self._tr_loss.item(),
                "total": self._total_loss_scalar,
                "logged": self._globalstep_last_logged,
            }
            place = checkpoints.aside(folder) / checkpoints.name(self.state.global_step)
            (place / _unlogged(self.args.process_index)).write_text(json.dumps(unlogged))
        finally:
            self._is_writing, self.args.save_strategy = False, strategy

    # --- going on -----------------------------------------------------------------------------------------------------

    _resumed_from: Path | None = None

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        position: tuple[int, int] = super()._init_training_state(*args, **kwargs)
        if self._resumed_from is not None:
            self._find_best(self._resumed_from)
        return position

    def _find_best(self, checkpoint: Path) -> None:
        """Whatever path it was saved under."""
        step = self.state.best_global_step
        self.state.best_model_checkpoint = None if step is None else str(checkpoint.parent / checkpoints.name(step))

    def _run_epoch(self, **kwargs: Any) -> None:
        self._go_on(kwargs["model"], kwargs["epoch"])
        if not self.control.should_training_stop:
            super()._run_epoch(**kwargs)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        self._go_on(self.model_wrapped, self.state.epoch)
        return super()._finalize_training(*args, **kwargs)

    def _go_on(self, model: Any, epoch: float) -> None:
        """Once, before the first update or where none is left: what the loop does not take from a checkpoint itself."""
        checkpoint, self._resumed_from = self._resumed_from, None
        if checkpoint is None:
            return
        file = checkpoint / _unlogged(self.args.process_index)
        if file.exists():  # there is none where the run had fewer processes
            unlogged = json.loads(file.read_text())
            self._tr_loss.fill_(unlogged["loss"])
            self._total_loss_scalar = unlogged["total"]
            self._globalstep_last_logged = unlogged["logged"]
        if _control(checkpoint)["should_evaluate"]:
            self._load_rng_state(str(checkpoint))
            self.control.should_evaluate = self.control.should_save = True
            self.control.should_log = False
            self._maybe_log_save_evaluate(self._tr_loss, None, model, None, epoch, None, time.time())
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True


def _control(checkpoint: Path) -> dict[str, bool]:
    """What the training loop was about to do."""
    found: dict[str, bool] = checkpoints.state(checkpoint)["stateful_callbacks"]["TrainerControl"]["args"]
    return found


def _is_finished(checkpoint: Path) -> bool:
    """Whether it is of the end of a training: after all updates, or where patience ended it."""
    control = _control(checkpoint)
    return control["should_training_stop"] and not control["should_evaluate"]


def _unlogged(process: int) -> str:
    return f"unlogged_{process}.json"


def _of_all(problem: Exception | None, folder: Path) -> tuple[str, bool]:
    """The reason of the first process that has one, with its rank, and whether waiting may help all that have one."""
    mine = None if problem is None else (str(problem), _may_pass(problem))
    told: list[tuple[str, bool] | None] = [mine]
    if _has_others():
        told = [None] * dist.get_world_size()
        dist.all_gather_object(told, mine)
    failed = [(f"rank {rank}: " if rank else "", *one) for rank, one in enumerate(told) if one is not None]
    return "".join(failed[0][:2]), all(may_pass for _, _, may_pass in failed)


def _may_pass(problem: Exception) -> bool:
    return isinstance(problem, OSError) and is_stall(problem)


def _is_of_disk(problem: Exception, folder: Path) -> bool:
    """Torch and safetensors have errors of their own for a disk that takes nothing."""
    told = ("os error", "inline_container", "PytorchStreamWriter", "iostream error")
    return isinstance(problem, OSError) or _room(folder) < 2**20 or any(words in str(problem) for words in told)


def _room(folder: Path) -> int:
    """Bytes that are free where checkpoints go."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        return 0 if error.errno in FULL | {errno.EIO, errno.ESTALE} else 2**63


def _not_written(folder: Path, step: int, reason: str) -> str:
    left = checkpoints.steps(folder)
    last = f"{left[-1].name} is the last one and is whole" if left else "there is none yet"
    return (
        f"The checkpoint after {step} updates could not be written to {shown(folder)}: {reason} "
        f"({_room(folder) / 2**20:,.0f} MiB are free there). The run stops, for nothing more could be kept; {last}. "
        "Make room (objective.save_total_limit is how many are kept), then resume the run."
    )
