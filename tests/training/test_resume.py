"""A training that is stopped, anywhere and however often, ends as one that was not: same weights, same log."""

import ast
import errno
import inspect
import json
import math
import os
import random
import signal
from functools import partial

import pytest
import torch
import transformers
from transformers import Trainer

from mcqa.config.errors import ProcessError, TrainingError
from mcqa.runs import launch, signals
from mcqa.runs.files import write_yaml
from mcqa.runs.signals import Watch
from mcqa.runs.tracking.spool import Spool
from mcqa.runs.tracking.tracker import Tracker
from mcqa.runs.trial import Paused, Preempted
from mcqa.training import callbacks, checkpoints, forgetting, optimizers, resume, trainer
from tests.small_runs import configured
from tests.training.test_trainer import built

SPEEDS = ("questions_per_second", "tokens_per_second", "padding_fraction")  # of the process, not of the training
OVERRIDES = [
    "objective.max_steps=8",  # of 5 an epoch
    "objective.epochs=null",
    "hardware.micro_batch_size=4",  # two per update
    "evaluation.every=3",
    "evaluation.best_metric=dev/loss",
    "tracking.log_every=2",
    "optimizer.learning_rate=0.003",
]


class Killed(BaseException):
    """In place of SIGKILL: nothing catches it, and nothing is cleaned up."""


class Attempt:
    """One start of a training in a folder. moment: called with the name of each thing that begins, and may end it."""

    def __init__(self, overrides, folder, monkeypatch, moment=lambda name: None):
        self.moment = moment
        self.tracker = Tracker(Spool(folder), None, "test", 0)
        self.tracker.start({}, {})
        self.sft_trainer, *_ = built(overrides, folder, self.measure, [self.log])
        self.sft_trainer.flush = self.tracker.flush
        for owner, name in [
            (self.sft_trainer, "training_step"),
            (self.sft_trainer, "_save_optimizer_and_scheduler"),  # the weights are written, nothing else
            (self.sft_trainer, "_save_rng_state"),
            (checkpoints, "commit"),
            (checkpoints, "rotate"),
        ]:
            monkeypatch.setattr(owner, name, self.watched(name, getattr(owner, name)))

    def watched(self, name, do):
        def watched(*args, **kwargs):
            self.moment(name)
            return do(*args, **kwargs)

        return watched

    def measure(self):
        """A number that depends on all weights and falls and rises."""
        self.moment("measure")
        total = sum(p.detach().double().sum().item() for p in self.sft_trainer.model.parameters() if p.requires_grad)
        self.moment("measured")
        return {"dev/loss": 2 + math.sin(50 * total)}

    def log(self, values, step):
        self.moment("log")
        self.tracker.metrics(values, step, of="training")
        self.moment("logged")

    def run(self):
        trainer.train(self.sft_trainer)
        return {name: p.detach().clone() for name, p in self.sft_trainer.model.named_parameters() if p.requires_grad}


def logged(folder):
    """Return what the tracker logged of the training, in order."""
    events = [event for _, event in Spool(folder).read() if event["event"] == "metrics"]
    pairs = [(event["step"], key, value) for event in events for key, value in event["values"].items()]
    return [pair for pair in pairs if pair[1] not in SPEEDS]


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def straight(overrides, folder):
    with pytest.MonkeyPatch.context() as patched:
        return Attempt(overrides, folder, patched).run(), logged(folder)


def killing(kind, times):
    """Kill the process when `kind` begins for the times-th time."""
    remaining = [times]

    def moment(name):
        remaining[0] -= name == kind
        if not remaining[0]:
            raise Killed(name)

    return moment


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "every", "moments"),
    [
        (
            ["peft=lora", "peft.dropout=0.2"],
            "1e-6",
            ["training_step", "logged", "commit", "_save_optimizer_and_scheduler", "measured"],
        ),
        (["peft=none", "evaluation.patience=2"], "null", ["log", "rotate", "training_step", "measure", "commit"]),
        (
            [
                "optimizer=muon",
                "optimizer.groups.adapter_b.learning_rate_factor=4",
                "scheduler=reduce_on_plateau",
                "scheduler.patience=0",
                "objective.neftune_alpha=5",
            ],
            "null",
            ["training_step", "measured", "commit"],
        ),
    ],
    ids=["adapter", "full", "muon, noise and a plateau"],
)
def test_killed_again_and_again_it_ends_with_the_same_weights_and_log(
    kind, every, moments, small, tmp_path, monkeypatch
):
    overrides = [*small, *OVERRIDES, *kind, f"objective.checkpoint_every_min={every}"]
    monkeypatch.setattr(callbacks, "SAVING_SHARE", 1.0)  # after every update, however long it takes
    weights, log = straight(overrides, tmp_path / "straight")
    draw = random.Random(1)
    for name in moments:
        times = draw.randint(1, 5 if name == "training_step" else 2)
        with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
            Attempt(overrides, tmp_path / "killed", patched, killing(name, times)).run()
    with pytest.MonkeyPatch.context() as patched:
        assert equal(Attempt(overrides, tmp_path / "killed", patched).run(), weights)
    assert logged(tmp_path / "killed") == log
    assert len(log) == len({pair[:2] for pair in log})


# --- signals


def signalled(moment, step):
    """Send SIGTERM, once, when the step's `moment` begins."""
    unsent = [signal.SIGTERM]

    def at(name, attempt):
        if name == moment and attempt.sft_trainer.state.global_step == step and unsent:
            os.kill(os.getpid(), unsent.pop())

    return at


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "step", "saved"),
    [
        ("training_step", 3, 4),  # between two measurements: at the end of the update
        ("training_step", 5, 6),  # of the update that is measured: before measuring, which may take longer than is left
        ("measure", 3, 3),  # while measuring: at once
        ("measured", 8, 8),  # while measuring for the last time
    ],
)
def test_a_signal_saves_at_the_end_of_the_update_and_nothing_is_done_twice(
    moment, step, saved, small, tmp_path, straight_adapter
):
    overrides, weights, log = straight_adapter
    at = signalled(moment, step)
    with Watch(), pytest.MonkeyPatch.context() as patched:
        attempt = Attempt([*small, *overrides], tmp_path / "stopped", patched, lambda name: at(name, attempt))
        with pytest.raises(Preempted, match="SIGTERM"):
            attempt.run()
    newest = checkpoints.newest(tmp_path / "stopped" / "checkpoints")
    assert newest.name == f"checkpoint-{saved}"
    with pytest.MonkeyPatch.context() as patched:
        again = Attempt([*small, *overrides], tmp_path / "stopped", patched)
        assert equal(again.run(), weights)
    assert logged(tmp_path / "stopped") == log


def pausing(step):
    """Pause during the update `step`, as the reporter of a trial does at its end."""

    def at(attempt, name):
        if name == "training_step" and attempt.sft_trainer.state.global_step == step - 1:
            signals.watch().pausing = True

    return at


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_training_that_pauses_anywhere_ends_with_the_same_weights_and_log(seed, small, tmp_path, straight_adapter):
    overrides, weights, log = straight_adapter
    for step in sorted(random.Random(seed).sample(range(1, 8), 3)):
        with Watch(), pytest.MonkeyPatch.context() as patched, pytest.raises(Paused):
            attempt = Attempt([*small, *overrides], tmp_path / "paused", patched)
            attempt.moment = partial(pausing(step), attempt)
            attempt.run()
        assert checkpoints.newest(tmp_path / "paused" / "checkpoints").name == f"checkpoint-{step}"
    with pytest.MonkeyPatch.context() as patched:
        assert equal(Attempt([*small, *overrides], tmp_path / "paused", patched).run(), weights)
    assert logged(tmp_path / "paused") == log


@pytest.fixture(scope="module")
def straight_adapter(questions_folder, tmp_path_factory):
    from tests.small_runs import smaller

    folder = tmp_path_factory.mktemp("straight")
    overrides = [*OVERRIDES, "peft.dropout=0.1", "order_seed=5"]
    return overrides, *straight([*smaller(questions_folder, folder), *overrides], folder / "run")


@pytest.mark.slow
def test_a_training_that_early_stopping_ended_is_not_resumed(small, tmp_path):
    losses = iter([0.5, 0.6, 0.7])
    overrides = [*small, "evaluation.patience=2", "objective.max_steps=9", "evaluation.best_metric=dev/loss"]
    sft_trainer, *_ = built(overrides, tmp_path, lambda: {"dev/loss": next(losses)})
    trainer.train(sft_trainer)
    again, *_ = built(overrides, tmp_path, lambda: pytest.fail("measured again"))
    trainer.train(again)
    assert again.state.global_step == 3 and again.state.best_global_step == 1
    assert again.state.best_model_checkpoint == sft_trainer.state.best_model_checkpoint


@pytest.mark.slow
def test_a_run_folder_may_move_before_it_is_resumed(small, tmp_path):
    overrides = [*small, "objective.max_steps=3", "evaluation.best_metric=dev/loss"]
    sft_trainer, *_ = built(overrides, tmp_path / "here", lambda: {"dev/loss": float(sft_trainer.state.global_step)})
    trainer.train(sft_trainer)
    (tmp_path / "here").rename(tmp_path / "there")
    again, *_ = built(overrides, tmp_path / "there", dict)
    trainer.train(again)
    assert again.state.best_model_checkpoint == str(tmp_path / "there" / "checkpoints" / "checkpoint-1")
    best = {name: p for name, p in sft_trainer.model.named_parameters() if p.requires_grad}
    assert equal({name: p for name, p in again.model.named_parameters() if p.requires_grad}, best)


# --- disks


@pytest.mark.slow
def test_a_full_disk_stops_the_run_with_a_clear_error_and_leaves_the_last_checkpoint_whole(
    small, tmp_path, monkeypatch
):
    save, calls = torch.save, []

    def full(value, path, *args, **kwargs):
        calls.append(path)
        if "checkpoint-2" in str(path):
            with open(path, "wb") as file:
                file.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(value, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full)
    sft_trainer, *_ = built([*small, "objective.max_steps=4"], tmp_path)
    with pytest.raises(TrainingError, match=r"after 2 updates .*No space left.*checkpoint-1 is the last one"):
        trainer.train(sft_trainer)
    folder = tmp_path / "checkpoints"
    assert [path.name for path in checkpoints.steps(folder)] == ["checkpoint-1"]
    assert checkpoints.problem(folder / "checkpoint-1") is None
    assert not checkpoints.aside(folder).exists()


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "rank"), [("ddp", "0"), ("ddp", "1"), ("fsdp2", "1")])
def test_a_disk_that_is_full_for_one_of_two_processes_stops_both_with_its_error(strategy, rank, small, tmp_path):
    config, config_dict = configured(
        [*small, "hardware=cpu_processes", f"hardware.strategy={strategy}", "hardware.timeout_s=60", "peft=none",
         "objective.max_steps=3", "evaluation.limit=4"]
    )  # fmt: skip
    (tmp_path / "full").write_text(rank)
    write_yaml(tmp_path / "config.yaml", config_dict)
    with pytest.raises(ProcessError, match="No space left"):
        launch.start("tests.training.two_saving", config.hardware, tmp_path)
    error = json.loads((tmp_path / "result.json").read_text())["error"]
    assert "No space left" in error and "checkpoint-1 is the last one" in error and ("rank 1" in error) == (rank == "1")
    assert checkpoints.newest(tmp_path / "checkpoints").name == "checkpoint-1"


@pytest.mark.slow
def test_an_error_of_torch_on_a_full_disk_is_a_clear_error_too(small, tmp_path):
    """Files of this process may not grow beyond a limit: as a full disk, without one."""
    import resource

    sft_trainer, *_ = built([*small, "objective.max_steps=1", "peft=none"], tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"after 1 updates could not be written.*there is none yet"):
            trainer.train(sft_trainer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_a_stalled_file_system_is_waited_for(small, tmp_path, monkeypatch):
    commit, stalls = checkpoints.commit, [1, 1]

    def stalling(folder, step):
        if stalls and stalls.pop():
            raise OSError(errno.ESTALE, "Stale file handle")
        return commit(folder, step)

    monkeypatch.setattr(checkpoints, "commit", stalling)
    monkeypatch.setattr(resume, "RETRY_AFTER_S", (0, 0))
    sft_trainer, *_ = built([*small, "objective.max_steps=1"], tmp_path)
    trainer.train(sft_trainer)
    assert not stalls and checkpoints.newest(tmp_path / "checkpoints").name == "checkpoint-1"


@pytest.mark.slow
def test_an_error_that_has_nothing_to_do_with_the_disk_is_raised_unchanged(small, tmp_path, monkeypatch):
    sft_trainer, *_ = built([*small, "objective.max_steps=1"], tmp_path)
    monkeypatch.setattr(sft_trainer, "_save_rng_state", lambda folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.train(sft_trainer)


# --- how often


def test_a_checkpoint_is_due_after_the_interval_and_later_where_writing_is_slow(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    schedule = resume.CheckpointSchedule(60)
    assert not schedule.due()
    now[0] = 60
    assert schedule.due()
    schedule.took = 10
    assert not schedule.due()
    now[0] = 190
    assert schedule.due()
    assert not resume.CheckpointSchedule(None).due()


@pytest.mark.slow
def test_between_measurements_there_are_checkpoints_too(small, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "SAVING_SHARE", 1.0)
    overrides = [*small, "objective.max_steps=5", "evaluation.every=1/epoch", "objective.checkpoint_every_min=1e-9"]
    sft_trainer, *_ = built([*overrides, "objective.save_total_limit=4"], tmp_path)
    trainer.train(sft_trainer)
    names = [path.name for path in checkpoints.steps(tmp_path / "checkpoints")]
    assert names == ["checkpoint-2", "checkpoint-3", "checkpoint-4", "checkpoint-5"]
    unlogged = json.loads((tmp_path / "checkpoints" / "checkpoint-3" / "unlogged_0.json").read_text())
    assert unlogged["logged"] == 1 and unlogged["loss"] > 0
    assert signals.watch().asked is None


# --- what is private in transformers ----------------------------------------------------------------------------------

PRIVATE = {
    "_clip_grad_norm": "model",
    "_determine_best_metric": "metrics trial",
    "_finalize_training": "trial num_train_samples start_time",
    "_get_grad_norm": "model grad_norm",
    "_get_output_dir": "trial",
    "_get_train_sampler": "train_dataset",
    "_init_training_state": "max_steps num_update_steps_per_epoch num_train_epochs resume_from_checkpoint trial",
    "_load_best_model": "",
    "_load_rng_state": "checkpoint",
    "_maybe_log_save_evaluate": "tr_loss grad_norm model trial epoch ignore_keys_for_eval start_time learning_rate",
    "_run_epoch": "model epoch train_dataloader steps_in_epoch num_update_steps_per_epoch trial ignore_keys_for_eval "
    "start_time resume_from_checkpoint epochs_trained steps_trained_in_current_epoch",
    "_save_checkpoint": "model trial",
}
"""Every private method of transformers' Trainer that ours overrides or calls, and the parameters it had then."""

PRIVATE_ATTRIBUTES = ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged")


def parameters(method):
    return " ".join(list(inspect.signature(method).parameters)[1:])


def test_every_private_method_of_the_trainer_that_is_used_is_as_it_was_when_ours_was_written():
    source = ast.parse("".join(map(inspect.getsource, (resume, optimizers, forgetting))))
    used = {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}
    for ours in (resume.ResumableTrainer, optimizers.OptimizingTrainer, forgetting.CappedTrainer):
        used |= vars(ours).keys()
    private = {name for name in used if name.startswith("_") and not name.startswith("__") and hasattr(Trainer, name)}
    assert private == set(PRIVATE), "PRIVATE must name exactly the private methods that are overridden or called"
    changed = [
        f"Trainer.{name} takes ({parameters(getattr(Trainer, name))}) and took ({known}) before"
        for name, known in PRIVATE.items()
        if parameters(getattr(Trainer, name)) != known
    ]
    changed += [
        f"Trainer has no attribute {name} any more, which a checkpoint of ours keeps"
        for name in PRIVATE_ATTRIBUTES
        if f"self.{name} " not in inspect.getsource(Trainer)
    ]
    assert not changed, (
        f"transformers {transformers.__version__} has changed what mcqa/training/resume.py, optimizers.py and "
        "forgetting.py build on; look at each override there, then bring this table up to date:\n" + "\n".join(changed)
    )
