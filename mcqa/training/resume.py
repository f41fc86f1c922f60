"""A trainer that can be stopped anywhere and resumes exactly there: every override of transformers' private methods.

Trainer's checkpoints hold weights, optimizer, schedule, gradient scaler, random states, position in the data and
callbacks. Here they are also written aside and moved into place when complete, hold the loss since the last point of
the curve, and are written between two measurements too, and before one that a signal interrupts, which the resumed run
makes up for. tests/training/test_resume.py names each private method that is overridden or called here, and fails
when a release of transformers changes one.
"""

import errno
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate.data_loader import SeedableRandomSampler
from transformers import Trainer
from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import SaveStrategy

from mcqa.config.errors import FULL, TrainingError
from mcqa.runs import processes, signals
from mcqa.runs.files import is_stall
from mcqa.runs.run_folder import shown
from mcqa.runs.trial import Preempted
from mcqa.training import checkpoints
from mcqa.training.callbacks import CheckpointSchedule
from mcqa.training.update_log import UpdateLog

log = logging.getLogger(__name__)

RETRY_AFTER_S = (5.0, 30.0, 120.0)
"""Pauses before a checkpoint is written again that a stalled file system did not take."""


class PaddedSampler(torch.utils.data.Sampler):  # type: ignore[misc]
    """The order of questions that one process alone would have, followed by padding, for several processes.

    The padding is the row after the last question, repeated until all processes have equally many full batches.
    accelerate would repeat questions from the beginning of the epoch instead, which would then count twice.

    first_epoch: returns the order of the first epoch, where a curriculum has one; it is asked when that epoch begins.
    """

    def __init__(
        self, seed: int, questions: int, multiple: int, first_epoch: Callable[[], Sequence[int]] | None = None
    ) -> None:
        self.first_epoch = first_epoch
        self.order = SeedableRandomSampler(range(questions), generator=torch.Generator(), data_seed=seed)
        self.padding_row, self.padding = questions, -questions % multiple

    def set_epoch(self, epoch: int) -> None:
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return self.padding_row + self.padding

    def __iter__(self) -> Iterator[int]:
        if self.first_epoch is not None and self.order.epoch == 0:
            yield from self.first_epoch()
        else:
            yield from self.order
        yield from [self.padding_row] * self.padding


class ResumableTrainer(Trainer):  # type: ignore[misc]
    """Comes before TRL's trainer in the order of base classes.

    questions: rows of train_dataset that are questions; the row after them is padding. first_epoch: as of
    PaddedSampler. update_log: written before each checkpoint. keep: checkpoints kept besides the best one. flush:
    called before a checkpoint counts, for what must not be behind it.
    """

    questions: int
    first_epoch: Callable[[], Sequence[int]] | None
    schedule: CheckpointSchedule
    update_log: UpdateLog
    keep: int
    flush: Callable[[], None]

    def resume(self) -> Any:
        """Train to the end, from the newest complete checkpoint; self.model is then the best measured state."""
        folder = Path(self.args.output_dir)
        with signals.defer_signals():
            newest = self._newest(folder)
            if newest is not None and _is_finished(newest) and not self._is_sharded:  # which only the loop can load
                self.state = TrainerState.load_from_json(str(newest / checkpoints.STATE))
                self._set_path_of_best(newest)
                self._load_best_model()
                return None
            self._resumed_from = newest
            return self.train(resume_from_checkpoint=None if newest is None else str(newest))

    def _newest(self, folder: Path) -> Path | None:
        """One process looks, moves aside what is damaged and warns; the others receive the result."""
        newest = [checkpoints.newest(folder) if self.args.process_index == 0 else None]
        if processes.world_size() > 1:
            dist.broadcast_object_list(newest, device=self.args.device)
        return newest[0]

    # --- reading questions --------------------------------------------------------------------------------------------

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The same order of questions for any number of processes."""
        sampler, count = super()._get_train_sampler(train_dataset), self.accelerator.num_processes
        if (count == 1 and self.first_epoch is None) or not isinstance(sampler, torch.utils.data.RandomSampler):
            return sampler
        multiple = self.args.train_batch_size * count if count > 1 else 1
        return PaddedSampler(self.args.data_seed, self.questions, multiple, self.first_epoch)

    # --- writing ------------------------------------------------------------------------------------------------------

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure dev. A signal stops the measurement, and the checkpoint then says that it is still to be made."""
        try:
            if self.schedule.stopping:
                signals.watch().check()
                raise Preempted("Stopped by a signal to another process of the run.")
            with signals.defer_signals(deferring=self.args.world_size > 1):
                metrics: dict[str, float] = self.measured()
        except Preempted:
            self.schedule.stopping = True
            self._save_checkpoint(self.model_wrapped, None)
            raise
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def measured(self) -> dict[str, float]:
        """Return metrics of dev under their names, with the prefix `eval_`."""
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
        self.update_log.write()
        for wait in (*RETRY_AFTER_S, None):
            reason, stalled = self._attempt(model, folder)
            if reason is None:
                break
            if wait is None or not stalled:
                raise TrainingError(_not_written(folder, self.state.global_step, reason))
            log.warning("The checkpoint could not be written (%s); trying again in %d s.", reason, wait)
            time.sleep(wait)
        if self.args.should_save:
            checkpoints.rotate(folder, self.keep, self.state.best_global_step)
        self._set_path_of_best(folder / checkpoints.name(self.state.global_step))
        self.schedule.saved = time.monotonic()
        self.schedule.took = self.schedule.saved - began
        if self.schedule.stopping:
            signals.watch().check()
            raise Preempted("Stopped by another process of the run.")

    def _attempt(self, model: Any, folder: Path) -> tuple[str | None, bool]:
        """Write a checkpoint; return why one of the processes could not, and whether another attempt may help.

        Raises:
            Exception: the disk is not the cause, in the process where it happened; DistError in the others.
        """
        problem: Exception | None = None
        try:
            self._write(model, folder)
        except Preempted:
            raise
        except Exception as error:  # a full disk has many names: OSError, RuntimeError of torch, of safetensors
            if self._is_sharded and _is_disk_error(error, folder):  # the others wait within the writing
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
        if problem is not None and not _is_disk_error(problem, folder):
            raise problem
        return _reason_of_all(problem)

    def _failed(self, problem: Exception | None) -> bool:
        return processes.any_rank([problem is not None])[0]

    @property
    def _is_sharded(self) -> bool:
        return bool(self.is_deepspeed_enabled or self.is_fsdp_enabled)

    def _write(self, model: Any, folder: Path) -> None:
        self._is_writing = True
        strategy, self.args.save_strategy = self.args.save_strategy, SaveStrategy.NO  # else all wait for the first one,
        try:  # which may have failed, only to look for the best checkpoint: _set_path_of_best does
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

    # --- resuming -----------------------------------------------------------------------------------------------------

    _resumed_from: Path | None = None

    def _init_training_state(self, *args: Any, **kwargs: Any) -> tuple[int, int]:
        position: tuple[int, int] = super()._init_training_state(*args, **kwargs)
        if self._resumed_from is not None:
            self._set_path_of_best(self._resumed_from)
        return position

    def _set_path_of_best(self, checkpoint: Path) -> None:
        """The path that was saved is not trusted: the run folder may have moved."""
        step = self.state.best_global_step
        self.state.best_model_checkpoint = None if step is None else str(checkpoint.parent / checkpoints.name(step))

    def _run_epoch(self, **kwargs: Any) -> None:
        self._restore_rest(kwargs["model"], kwargs["epoch"])
        if not self.control.should_training_stop:
            super()._run_epoch(**kwargs)

    def _finalize_training(self, *args: Any, **kwargs: Any) -> Any:
        self._restore_rest(self.model_wrapped, self.state.epoch)
        return super()._finalize_training(*args, **kwargs)

    def _restore_rest(self, model: Any, epoch: float) -> None:
        """Restore what the loop itself does not take from a checkpoint: once, before the first update that is left."""
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
    """Return what the training loop was about to do."""
    control: dict[str, bool] = checkpoints.state(checkpoint)["stateful_callbacks"]["TrainerControl"]["args"]
    return control


def _is_finished(checkpoint: Path) -> bool:
    """Whether the training had ended there, after all updates or by early stopping."""
    control = _control(checkpoint)
    return control["should_training_stop"] and not control["should_evaluate"]


def _unlogged(process: int) -> str:
    return f"unlogged_{process}.json"


def _reason_of_all(problem: Exception | None) -> tuple[str, bool]:
    """Return the first reason by rank, and whether another attempt may help all processes that have one."""
    own = None if problem is None else (str(problem), isinstance(problem, OSError) and is_stall(problem))
    reasons: list[tuple[str, bool] | None] = [own]
    if processes.world_size() > 1:
        reasons = [None] * processes.world_size()
        dist.all_gather_object(reasons, own)
    failed = [(f"rank {rank}: " if rank else "", *reason) for rank, reason in enumerate(reasons) if reason is not None]
    return "".join(failed[0][:2]), all(may_pass for *_, may_pass in failed)


def _is_disk_error(problem: Exception, folder: Path) -> bool:
    """Whether the disk took nothing more, for which torch and safetensors have errors of their own."""
    signs = ("os error", "inline_container", "PytorchStreamWriter", "iostream error")
    return isinstance(problem, OSError) or _free_bytes(folder) < 2**20 or any(sign in str(problem) for sign in signs)


def _free_bytes(folder: Path) -> int:
    """Return the bytes that are free where checkpoints go."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        return 0 if error.errno in FULL | {errno.EIO, errno.ESTALE} else 2**63


def _not_written(folder: Path, step: int, reason: str) -> str:
    written = checkpoints.steps(folder)
    last = f"{written[-1].name} is the last one and is complete" if written else "there is none yet"
    return (
        f"The checkpoint after {step} updates could not be written to {shown(folder)}: {reason} "
        f"({_free_bytes(folder) / 2**20:,.0f} MiB are free there). The run stops, since nothing more could be kept; "
        f"{last}. Make room (objective.save_total_limit is how many are kept), then resume the run."
    )
