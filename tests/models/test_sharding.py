"""The same configuration gives the same result in one process and in two, under every strategy.

Two real processes on the CPU make every run of two_trainings.py, started once for all tests of this module. 21
questions in updates of 8 leave 5 for the last one of an epoch, in micro batches of 2: that is uneven in every way.
"""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mcqa import train
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.models import loading, sharding
from mcqa.runs import launch, processes
from mcqa.runs.files import read_json, read_yaml, write_yaml
from tests.small_runs import configured, smaller
from tests.training.two_trainings import ADAPTED, CASES, MEASURED, RESUMED

OF_ALL = [
    "data.limit=21",
    "hardware.micro_batch_size=2",
    "objective.max_steps=4",
    "objective.epochs=null",
    "evaluation.every=2",
    "evaluation.best_metric=dev/loss",
    "tracking.log_every=1",
    "optimizer.learning_rate=1e-3",
    "optimizer.max_grad_norm=0.5",
]


def prepared(folder, overrides):
    config, config_dict = configured(overrides)
    folder.mkdir(parents=True)
    write_yaml(folder / "config.yaml", config_dict)
    write_yaml(folder / "overrides.yaml", overrides)
    return config, folder


@pytest.fixture(scope="module")
def folders(questions_folder, tmp_path_factory):
    """The run folders by name: of every case, and of `alone full` and `alone adapter`, which one process made."""
    folder = tmp_path_factory.mktemp("trainings")
    common = [*smaller(questions_folder, folder), *OF_ALL]
    for name, wanted in {"alone full": {"peft": "none"}, "alone adapter": ADAPTED}.items():
        train.run(*prepared(folder / name, [*common, *(f"{key}={value}" for key, value in wanted.items())]))
    for name, wanted in CASES.items():
        overrides = [*common, "hardware=cpu_processes", *(f"{key}={value}" for key, value in wanted.items())]
        config, _ = prepared(folder / name, overrides)
    shutil.copy(folder / name / "config.yaml", folder)  # that each process reads before it runs the cases
    for name, measured in MEASURED.items():
        stored = read_yaml(folder / measured / "config.yaml")
        hardware = read_yaml(folder / name.split()[0] / "config.yaml")["hardware"] | {"strategy": name.split()[0]}
        changes = {"run": str(folder / measured), "splits": ["dev", "test"], "hardware": hardware}
        (folder / name).mkdir()
        write_yaml(folder / name / "config.yaml", stored | changes)
        write_yaml(folder / name / "overrides.yaml", [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ":".join([str(Path(__file__).parents[2]), *sys.path]))
        launch.start("tests.training.two_trainings", config.hardware, folder)
    return folder


def logged(folder, name):
    """Values of a metric by update, as they reached the tracker; for a resumed run the later ones."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return {
        event["step"]: event["values"][name]
        for event in events
        if event["event"] == "metrics" and name in event["values"]
    }


def alone(name):
    return "alone adapter" if "adapter" in name else "alone full"


ALL = [*CASES, *(f"{name} resumed" for name in RESUMED)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_every_update_has_the_loss_and_gradient_that_one_process_finds(folders, name):
    for metric in ("train/loss", "grad_norm", "learning_rate"):
        one, two = logged(folders / alone(name), metric), logged(folders / name, metric)
        assert set(one) == set(two) == {1, 2, 3, 4}
        assert two == pytest.approx(one, rel=2e-4), metric


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_norms_of_groups_are_those_of_one_process_except_with_deepspeed_which_has_none(folders, name):
    for group in ("adapter_a", "adapter_b") if "adapter" in name else ("embeddings", "linear", "norms"):
        one, two = (logged(folders / each, f"grad_norm/{group}") for each in (alone(name), name))
        assert set(one) == {1, 2, 3, 4}
        assert two == ({} if "zero" in name else pytest.approx(one, rel=2e-4))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_base_and_trained_model_are_measured_as_by_one_process(folders, name):
    one, two = (read_json(folders / each / "result.json") for each in (alone(name), name))
    assert two["status"] == "complete"
    assert two["metrics"] == pytest.approx(one["metrics"], abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_what_is_saved_is_one_ordinary_model_with_the_weights_of_one_process(folders, name):
    file = "adapter_model.safetensors" if "adapter" in name else "model.safetensors"
    one, two = (load_file(folders / each / "model" / file) for each in (alone(name), name))
    assert set(one) == set(two)
    assert all(torch.allclose(one[key], two[key], atol=2e-4) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_a_finished_run_is_measured_as_by_one_process(folders, name):
    one, two = (read_json(folders / each / "result.json") for each in (MEASURED[name], name))
    assert two["status"] == "complete" and {"dev/loss", "test/acc"} <= two["metrics"].keys()
    assert two["metrics"] == pytest.approx({key: one["metrics"][key] for key in two["metrics"]}, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_while_measuring_each_process_has_its_shard_of_the_weights_and_one_alone_reads_them(folders, name):
    first, second = (read_json(folders / name / f"numbers{rank}.json") for rank in range(2))
    if name == "zero2 measures":
        assert first == second == dict.fromkeys(first, first["whole"])
        return
    assert first["whole"] == second["whole"] == first["measuring"] + second["measuring"]
    assert first["measuring"] == pytest.approx(first["whole"] / 2, rel=0.01)
    assert first["read"] == first["whole"] and second["read"] < 0.1 * first["whole"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero3", "fsdp2 adapter"])
def test_a_saved_model_loads_in_one_process(folders, name):
    config = typed(read_yaml(folders / alone(name) / "config.yaml"), Config)

    saved = replace(config.model, path=str(folders / name / "model"))
    tokenizer = loading.load_tokenizer(saved, [])
    loaded = loading.load_model(saved, config.peft, config.hardware, tokenizer, 0)
    assert sharding.parameter_count(loaded) > 1e6


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMED)
def test_a_run_resumed_in_the_middle_ends_as_the_undisturbed_one(folders, name):
    straight, resumed = folders / name, folders / f"{name} resumed"
    assert logged(resumed, "train/loss") == pytest.approx(logged(straight, "train/loss"), rel=1e-6)
    (file,) = (path.name for path in (straight / "model").glob("*model.safetensors"))
    one, two = (load_file(folder / "model" / file) for folder in (straight, resumed))
    assert all(torch.allclose(one[key], two[key], rtol=0, atol=1e-6) for key in one)
    began = [folder / "checkpoints" / "checkpoint-2" / "complete.json" for folder in (straight, resumed)]
    assert began[0].stat().st_mtime_ns == began[1].stat().st_mtime_ns, "it was written again"


@pytest.mark.slow
def test_speeds_are_logged_for_every_update(folders):
    for name in ("alone full", "ddp"):
        assert set(logged(folders / name, "questions_per_second")) == {1, 2, 3, 4}


@pytest.mark.slow
def test_the_first_process_alone_writes(folders):
    files = {path.name for path in (folders / "ddp").iterdir()}
    assert files == {path.name for path in (folders / "alone full").iterdir()}
    lines = (folders / "ddp" / "events.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "start" for line in lines) == 1


def test_one_process_alone_shards_nothing_for_evaluation():
    hardware = configured(["hardware.strategy=zero3"])[0].hardware
    assert not processes.must_start_processes(sharding.evaluation_hardware(hardware))


@pytest.mark.slow
def test_a_run_in_one_process_does_not_import_deepspeed(folders):
    assert "deepspeed" not in sys.modules
