"""mcqa.verify shows what holds, and would show where it did not."""

import sys

import pytest
import torch
from rich.console import Console

from mcqa import verify
from mcqa.runs import launch
from mcqa.training import resume, trainer, verification
from tests.small_runs import configured

LITTLE = ["optimizer.batch_size=4", "peft.dropout=0.1"]


@pytest.fixture
def console():
    return Console(record=True, width=160)


def test_a_resumed_training_is_shown_to_equal_one_that_was_not_stopped(small, tmp_path, console):
    config, _ = configured([*small, *LITTLE])
    assert verification.resume(config, tmp_path, console)
    shown = console.export_text()
    assert "stopped after update 4, resumed from the checkpoint after update 3" in shown
    assert "A resumed training equals one that was not stopped (relative difference 0.0e+00" in shown
    assert all(f" {update} " in shown for update in range(1, 7))


def test_a_training_that_is_not_resumed_right_is_shown_to_differ(small, tmp_path, console, monkeypatch):
    monkeypatch.setattr(resume.Resumable, "_load_optimizer_and_scheduler", lambda self, checkpoint: None)
    config, _ = configured([*small, *LITTLE])
    assert not verification.resume(config, tmp_path, console)
    assert "It does not hold" in console.export_text()


@pytest.mark.parametrize(("processes", "held"), [(2, False), (3, True)])
def test_sums_over_more_than_two_processes_may_be_rounded_otherwise(processes, held, small, console):
    hardware = ["hardware=cpu_processes", f"hardware.devices={processes}", "optimizer.batch_size=6"]
    config, _ = configured([*small, *hardware])
    one, other = (verification.Training({1: {}}, {"a": torch.tensor([weight])}) for weight in (1.0, 1.0 + 1e-6))
    assert verification._compared(one, other, config, console) == held


def test_micro_batches_are_shown_to_add_up(small, tmp_path, console):
    config, _ = configured([*small, "optimizer.batch_size=8", "hardware.micro_batch_size=8"])
    assert verification.accumulation(config, tmp_path, console)
    assert "4 of 2" in console.export_text()


def test_micro_batches_that_do_not_add_up_are_shown_to_differ(small, tmp_path, console, monkeypatch):
    whole = trainer.MeasuringTrainer.compute_loss
    monkeypatch.setattr(  # each piece by its own tokens
        trainer.MeasuringTrainer,
        "compute_loss",
        lambda self, model, inputs, *args, **kwargs: whole(
            self, model, inputs, num_items_in_batch=(inputs["labels"][:, 1:] != -100).sum()
        ),
    )
    config, _ = configured([*small, "optimizer.batch_size=8", "hardware.micro_batch_size=8"])
    assert not verification.accumulation(config, tmp_path, console)


def test_tensors_that_are_missing_or_not_numbers_differ():
    one = {"a": torch.ones(2)}
    assert verification._furthest(one, {})[0] == float("inf")
    assert verification._furthest(one, {"a": torch.tensor([1.0, float("nan")])})[0] == float("inf")
    assert verification._furthest(one, {"a": torch.tensor([1.0, 0.5])}) == (0.5, " in a")


# --- the door


def door(monkeypatch, *arguments):
    """The exit status or words of the command."""
    monkeypatch.setattr(sys, "argv", ["mcqa.verify", *arguments])
    with pytest.raises(SystemExit) as exit:
        verify.command()
    return exit.value.code


@pytest.mark.parametrize(("held", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_says_whether_it_held(held, status, small, monkeypatch):
    asked = []
    monkeypatch.setitem(verification.SHOW, "resume", lambda config, folder, console: asked.append(config) or held)
    assert door(monkeypatch, "resume", "+experiment=smoke", "seed=5", *small) == status
    (config,) = asked
    assert (config.seed, config.name) == (5, "smoke")


@pytest.mark.parametrize(
    ("what", "strategy", "processes", "shown"),
    [
        ("resume", "fsdp2", 2, "in 2 processes (fsdp2): in one go, and stopped"),
        ("accumulation", "zero2", 1, "One update of 4 questions, in 1 process (zero2)."),
    ],
)
def test_it_is_shown_in_the_processes_and_under_the_strategy_of_the_configuration(
    what, strategy, processes, shown, small, monkeypatch, capfd
):
    asked = ["optimizer.batch_size=4", "hardware=cpu_processes", f"hardware.devices={processes}"]
    status = door(monkeypatch, what, *small, *asked, f"hardware.strategy={strategy}")
    said = " ".join(capfd.readouterr().out.split())
    assert (status, said.count(shown), said.count("(relative difference")) == (0, 1, 1), said


@pytest.mark.parametrize(("held", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_is_what_the_processes_found(held, status, small, monkeypatch):
    started = []

    def start(story, config, tree, folder):
        started.append((story, config.devices, folder.name))
        if held:
            (folder / "held").touch()

    monkeypatch.setattr(launch, "start", start)
    assert door(monkeypatch, "resume", *small, "hardware=cpu_processes") == status
    assert started == [("mcqa.verify", 2, "resume")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "one of resume, accumulation, got nothing"),
        (["resum"], "got resum. Did you mean 'resume'?"),
        (["resume", "peft=qlroa"], "peft=qlroa: no such option"),
        (["accumulation", "optimizer.lerning_rate=1"], "Did you mean 'learning_rate'?"),
        (["resume", "dry_run=true"], "dry_run and resume are for mcqa.train"),
    ],
)
def test_mistakes_are_told(arguments, told, monkeypatch):
    assert told in door(monkeypatch, *arguments)


def test_help_names_three_commands_to_try(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mcqa.verify", "--help"])
    with pytest.raises(SystemExit):
        verify.command()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    usage, *commands = [line for line in lines if line.startswith("python -m mcqa.verify ")]
    assert len(commands) == 3 and "$" not in "".join(lines)
