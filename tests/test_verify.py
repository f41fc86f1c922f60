"""mcqa.verify passes where two trainings agree, and fails where they do not."""

import json
import random
import re
import sys

import pytest
import torch
from rich.console import Console

from mcqa import verify
from mcqa.config.errors import ConfigError
from mcqa.evaluation.scoring.forward import Forward
from mcqa.runs import launch
from mcqa.training import measuring, resume, verification
from tests.small_runs import configured

LITTLE = ["optimizer.batch_size=4", "peft.dropout=0.1"]


@pytest.fixture
def long_choices(tmp_path):
    """Overrides for questions whose choices have several tokens, some of which begin alike."""
    choices = ["a red river", "a red mountain of stone", "nothing at all", "three old towns"]
    rows = [
        {"question": f"What is near place {number}?", "choices": choices, "answer": number % 4} for number in range(9)
    ]
    for split in ("train", "dev", "test"):
        own = [row | {"question": f"{split}: {row['question']}"} for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    return ["data=local", f"data.path={tmp_path}", "tracking=none", f"outputs={tmp_path}/outputs"]


@pytest.fixture
def console():
    return Console(record=True, width=160)


@pytest.mark.slow
def test_a_resumed_training_equals_one_that_was_not_stopped(small, tmp_path, console):
    config, _ = configured([*small, *LITTLE])
    assert verification.resume(config, tmp_path, console)
    shown = console.export_text()
    assert "stopped after update 4, resumed from the checkpoint after update 3" in shown
    assert "A resumed training equals one that was not stopped (relative difference 0.0e+00" in shown
    assert all(f" {update} " in shown for update in range(1, 7))


@pytest.mark.slow
def test_a_training_that_is_not_resumed_correctly_fails_the_check(small, tmp_path, console, monkeypatch):
    monkeypatch.setattr(resume.ResumableTrainer, "_load_optimizer_and_scheduler", lambda self, checkpoint: None)
    config, _ = configured([*small, *LITTLE])
    assert not verification.resume(config, tmp_path, console)
    assert "This does not hold" in console.export_text()


@pytest.mark.parametrize(("processes", "passes"), [(2, False), (3, True)])
def test_sums_over_more_than_two_processes_may_be_rounded_differently(processes, passes, small, console):
    hardware = ["hardware=cpu_processes", f"hardware.devices={processes}", "optimizer.batch_size=6"]
    config, _ = configured([*small, *hardware])
    one, other = (verification.Trace({1: {}}, {"a": torch.tensor([weight])}) for weight in (1.0, 1.0 + 1e-6))
    assert verification._compare(one, other, config, console, "other", "Equal") == passes


@pytest.mark.slow
def test_the_gradients_of_micro_batches_add_up(small, tmp_path, console):
    config, _ = configured([*small, "optimizer.batch_size=8", "hardware.micro_batch_size=8"])
    assert verification.accumulation(config, tmp_path, console)
    shown = console.export_text()
    assert all(split in shown for split in ("1 of 16", "2 of 8", "16 of 1"))


@pytest.mark.slow
def test_micro_batches_that_do_not_add_up_fail_the_check(small, tmp_path, console, monkeypatch):
    whole = measuring.MeasuringTrainer.compute_loss
    monkeypatch.setattr(  # each micro batch normalised by its own tokens
        measuring.MeasuringTrainer,
        "compute_loss",
        lambda self, model, inputs, *args, **kwargs: whole(
            self, model, inputs | {"counts": self.loss.counts(inputs["items"])}, *args, **kwargs
        ),
    )
    config, _ = configured([*small, "optimizer.batch_size=8", "hardware.micro_batch_size=8"])
    assert not verification.accumulation(config, tmp_path, console)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], ["objective=choice", "objective.unlikelihood_weight=1", "peft=none"]])
def test_choices_as_a_tree_have_the_loss_and_gradients_of_rows(overrides, long_choices, tmp_path, console):
    config, _ = configured([*long_choices, "hardware.training_tokens=200", *overrides])
    assert verification.choice(config, tmp_path, console)
    shown = console.export_text()
    tree, rows = (int(re.search(rf"{name} +(\d+)", shown).group(1)) for name in ("as a tree", "in rows"))
    assert 2 * tree < rows


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], ["objective=choice", "objective.packing=true"]])
def test_packed_examples_have_the_loss_and_gradients_of_rows_of_their_own(overrides, small, tmp_path, console):
    config, _ = configured([*small, *overrides])
    assert verification.packing(config, tmp_path, console)
    assert "by another neighbour in front of it: 0.0e+00" in console.export_text()


@pytest.mark.slow
def test_packed_examples_that_see_their_neighbours_fail_the_check(small, tmp_path, console, monkeypatch):
    monkeypatch.setattr(Forward, "_mask", causal)
    monkeypatch.setattr(measuring.MeasuringTrainer, "_can_pack", lambda *arguments: True)
    config, _ = configured(small)
    assert not verification.packing(config, tmp_path, console)
    assert "This does not hold: packed examples have the loss" in console.export_text()


def causal(self, ends_BT):
    at_T = torch.arange(ends_BT.shape[1])
    return (at_T[:, None] >= at_T).expand(len(ends_BT), 1, -1, -1)


@pytest.mark.slow
def test_choices_that_see_one_another_fail_the_check(long_choices, tmp_path, console, monkeypatch):
    monkeypatch.setattr(Forward, "_mask", causal)
    monkeypatch.setattr(measuring, "reads_trees", lambda *arguments: True)
    config, _ = configured(long_choices)
    assert not verification.choice(config, tmp_path, console)
    assert "This does not hold: the choices as a tree" in console.export_text()


@pytest.mark.slow
def test_a_model_that_cannot_read_a_tree_is_named(small, tmp_path, console, monkeypatch):
    monkeypatch.setattr(measuring, "reads_trees", lambda *arguments: False)
    config, _ = configured(small)
    assert verification.choice(config, tmp_path, console)
    assert "This model cannot read the choices of a question as a tree" in console.export_text()


def test_choice_is_not_checked_on_conversations(tmp_path, console):
    run, _ = configured(["data=messages", "data.path=chat.jsonl"])
    with pytest.raises(ConfigError, match="the conversations of data=messages have no choices; take data=facts"):
        verification.choice(run, tmp_path, console)


def test_choice_is_checked_as_its_option_has_it(small):
    checked = verification._with_choice(configured(small)[0])
    expected, _ = configured([*small, "objective=choice"])
    assert checked.objective == expected.objective


@pytest.mark.slow
def test_two_trainings_from_the_same_seed_are_equal(small, tmp_path, console):
    config, _ = configured([*small, *LITTLE])
    assert verification.determinism(config, tmp_path, console)
    shown = console.export_text()
    assert "4 updates of 4 questions with seed 0" in shown
    assert "Two trainings from the same seed are equal (relative difference 0.0e+00; none is allowed)" in shown


@pytest.mark.slow
def test_a_training_that_is_not_the_same_twice_fails_the_check(small, tmp_path, console, monkeypatch):
    whole, chance = measuring.MeasuringTrainer.compute_loss, random.SystemRandom()
    monkeypatch.setattr(
        measuring.MeasuringTrainer,
        "compute_loss",
        lambda *args, **kwargs: whole(*args, **kwargs) * (1 + 1e-3 * chance.random()),
    )
    config, _ = configured([*small, *LITTLE])
    assert not verification.determinism(config, tmp_path, console)
    assert "This does not hold: two trainings from the same seed are equal" in console.export_text()


def test_tensors_that_are_missing_or_not_numbers_differ():
    one = {"a": torch.ones(2)}
    assert verification._largest_difference(one, {})[0] == float("inf")
    assert verification._largest_difference(one, {"a": torch.tensor([1.0, float("nan")])})[0] == float("inf")
    assert verification._largest_difference(one, {"a": torch.tensor([1.0, 0.5])}) == (0.5, " in a")


# --- the command


def command(monkeypatch, *arguments):
    """Run the command and return its exit status or message."""
    monkeypatch.setattr(sys, "argv", ["mcqa.verify", *arguments])
    with pytest.raises(SystemExit) as exit:
        verify.command()
    return exit.value.code


@pytest.mark.parametrize(("passes", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_says_whether_the_check_passes(passes, status, small, monkeypatch):
    configs = []
    monkeypatch.setitem(verification.CHECKS, "resume", lambda config, folder, console: configs.append(config) or passes)
    assert command(monkeypatch, "resume", "+experiment=smoke", "seed=5", *small) == status
    (config,) = configs
    assert (config.seed, config.name) == (5, "smoke")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "strategy", "processes", "shown"),
    [
        ("resume", "fsdp2", 2, "in 2 processes (fsdp2): without a stop, and stopped"),
        ("accumulation", "zero2", 1, "One update of 16 questions, in 1 process (zero2)."),
    ],
)
def test_checks_run_in_the_processes_and_under_the_strategy_of_the_configuration(
    what, strategy, processes, shown, small, monkeypatch, capfd
):
    overrides = ["optimizer.batch_size=4", "hardware=cpu_processes", f"hardware.devices={processes}"]
    status = command(monkeypatch, what, *small, *overrides, f"hardware.strategy={strategy}")
    output = " ".join(capfd.readouterr().out.split())
    assert (status, output.count(shown), output.count("(relative difference")) == (0, 1, 1), output


@pytest.mark.parametrize(("passes", "status"), [(True, 0), (False, 1)])
def test_the_exit_status_is_that_of_the_check_in_the_processes(passes, status, small, monkeypatch):
    started = []

    def start(module, hardware, folder):
        started.append((module, hardware.devices, folder.name))
        if passes:
            (folder / "passed").touch()

    monkeypatch.setattr(launch, "start", start)
    assert command(monkeypatch, "resume", *small, "hardware=cpu_processes") == status
    assert started == [("mcqa.verify", 2, "resume")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of resume, accumulation, choice, packing, determinism, got nothing"),
        (["resum"], "got resum. Did you mean 'resume'?"),
        (["resume", "peft=qlroa"], "peft=qlroa: no such option"),
        (["accumulation", "optimizer.lerning_rate=1"], "Did you mean 'learning_rate'?"),
        (["resume", "dry_run=true"], "dry_run and resume are for mcqa.train"),
    ],
)
def test_mistakes_are_reported(arguments, message, monkeypatch):
    assert message in command(monkeypatch, *arguments)


def test_help_names_a_command_for_each_check(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mcqa.verify", "--help"])
    with pytest.raises(SystemExit):
        verify.command()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    usage, *commands = [line for line in lines if line.startswith("python -m mcqa.verify ")]
    assert {command.split()[3] for command in commands} == set(verify.CHECKS) and "$" not in "".join(lines)
