"""Downloading what runs need, for every kind of command line, and what keeps a job from being submitted."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcqa import evaluate, prefetch
from mcqa.config.command import hydra_command
from mcqa.config.composition import compose
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.runs.files import write_yaml
from mcqa.sweep.adapter import RunHooks
from tests.models.fake_hub import QWEN
from tests.sweep.backends.fake_slurm import FakeSlurm

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def prefetched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mcqa.prefetch", *arguments])
        error = ""
        try:
            prefetch.command()
        except SystemExit as caught:
            error = str(caught.code)
        return capsys.readouterr().out + error

    return run


def test_where_nothing_is_needed_that_is_said(prefetched: Callable[..., str], downloads: list[Any]) -> None:
    assert prefetched().startswith("Nothing to download") and prefetched("--multirun", "seed=1,2").startswith(
        "Nothing to download"
    )
    assert not downloads


def test_a_run_s_model_without_its_pickles_and_its_questions_are_downloaded_once(
    prefetched: Callable[..., str], downloads: list[Any], cache: Path
) -> None:
    output = prefetched("model=qwen3_0_6b", "data=arc_easy")
    (name, wanted, unwanted), *splits = downloads
    assert name == QWEN and "*.safetensors" in wanted and not {"*.bin", "*.pt", "*.py"} & set(wanted)
    assert "consolidated*" in unwanted
    assert [split for *_, split in splits] == ["train", "validation", "test"]
    assert f"{QWEN}: downloaded to {cache}" in output and "allenai/ai2_arc ARC-Easy: downloaded to" in output
    downloads.clear()
    assert f"{QWEN}: in the cache" in prefetched("model=qwen3_0_6b") and not downloads


def test_all_choices_of_a_list_are_downloaded(prefetched: Callable[..., str], downloads: list[Any]) -> None:
    prefetched("--multirun", "model=qwen3_0_6b,qwen3_1_7b", "seed=1,2", "hydra/launcher=slurm")
    assert [name for name, *_ in downloads] == [QWEN, "Qwen/Qwen3-1.7B-Base"]


def test_all_choices_of_a_study_are_downloaded_and_the_default_that_is_none_is_not(
    prefetched: Callable[..., str], downloads: list[Any], tmp_path: Path
) -> None:
    space = ("model=smollm2_135m,smollm2_360m", "data=facts,arc_easy", "optimizer.learning_rate=interval(1e-5,1e-3)")
    prefetched("--multirun", "hydra.sweeper.n_trials=9", *space)
    assert [name.partition("/")[2] for name, *_ in downloads] == ["SmolLM2-135M", "SmolLM2-360M"] + ["ai2_arc"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_dry_run_downloads_nothing(prefetched: Callable[..., str], downloads: list[Any]) -> None:
    assert f"{QWEN}: would be downloaded" in prefetched("model=qwen3_0_6b", "dry_run=true") and not downloads


def test_everything_that_could_not_be_downloaded_is_listed_at_the_end(
    prefetched: Callable[..., str], downloads: list[Any]
) -> None:
    output = prefetched("--multirun", "model=local", "model.path=gated/one,pickled/two,some/three")
    assert "some/three: downloaded" in output
    assert "model.path=gated/one: 401 Client Error. Accept its terms at https://huggingface.co/gated/one" in output
    assert ": the weights. Does the hub have it as safetensors?" in output


# --- before a job is submitted ---


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What keeps `python -m mcqa.evaluate … hydra/launcher=slurm` from submitting."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    FakeSlurm(tmp_path / "bin")

    def run(*arguments: str) -> str:
        arguments_ = ["mcqa.evaluate", "--multirun", "hydra/launcher=slurm", *arguments, "dry_run=true"]
        monkeypatch.setattr(sys, "argv", arguments_)
        try:
            hydra_command("evaluate", EvaluateConfig, evaluate.main, RunHooks("evaluate", EvaluateConfig), many=True)
        except SystemExit as caught:
            return str(caught.code)
        return ""

    return run


def stored(folder: Path, *overrides: str) -> Path:
    """A run folder with nothing but its configuration."""
    folder.mkdir()
    write_yaml(folder / "config.yaml", compose("config", list(overrides)))
    return folder


@pytest.mark.slow
def test_the_printed_command_downloads_what_an_evaluation_needs(
    problems: Callable[..., str], prefetched: Callable[..., str], downloads: list[Any], cache: Path
) -> None:
    output = problems("model=qwen3_0_6b", "data=arc_easy", "splits=[test]")
    assert f"model.path={QWEN}: missing from the cache {cache}: the whole repository." in output
    command = shlex.split(output.partition("python -m mcqa.prefetch ")[2].partition("   (if the nodes")[0])
    assert f"{QWEN}: downloaded to {cache}" in prefetched(*command)
    assert QWEN not in problems("model=qwen3_0_6b", "data=arc_easy", "splits=[test]").partition("Download it")[0]


def test_lists_of_an_evaluation_need_no_multirun_here_either(
    prefetched: Callable[..., str], downloads: list[Any]
) -> None:
    prefetched("evaluate", "model=qwen3_0_6b,qwen3_1_7b", "splits=[test]")
    assert [name for name, *_ in downloads] == [QWEN, "Qwen/Qwen3-1.7B-Base"]


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["+experiment=smoke", "data=arc_easy"])
def test_what_evaluating_a_run_on_other_questions_needs_is_checked_before_a_job_is_submitted(
    kept: str, problems: Callable[..., str], prefetched: Callable[..., str], downloads: list[Any], tmp_path: Path
) -> None:
    done = stored(tmp_path / "done", kept)
    arguments = [f"run={done}", *(["data=arc_easy"] if "data" not in kept else [])]
    assert "data.hub=allenai/ai2_arc: missing from the cache" in problems(*arguments)
    assert "allenai/ai2_arc ARC-Easy: downloaded" in prefetched("evaluate", *arguments)
    assert "cache" not in problems(f"run={done}", "data=facts")


@pytest.mark.slow
def test_to_evaluate_a_run_the_base_of_its_adapter_is_needed_and_not_the_model_in_its_configuration(
    problems: Callable[..., str], tmp_path: Path
) -> None:
    done = stored(tmp_path / "done", "+experiment=smoke", "model=qwen3_1_7b")
    assert "cache" not in problems(f"run={done}")
    (done / "model").mkdir()
    (done / "model" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": QWEN}))
    assert f"model.path={QWEN}: missing from the cache" in problems(f"run={done}")


def test_a_run_that_does_not_exist_is_reported_before_a_job_is_submitted(
    problems: Callable[..., str], tmp_path: Path
) -> None:
    assert str(tmp_path / "lost") in problems(f"run={tmp_path / 'lost'}")


def test_a_resumed_run_needs_what_its_own_configuration_asks_for(tmp_path: Path, cache: Path) -> None:
    started = stored(tmp_path / "started", "model=qwen3_0_6b")
    hooks = RunHooks("config", Config)
    assert (
        hooks.missing([compose("config", [f"resume={started}"])])[0]
        == f"model.path={QWEN}: missing from the cache {cache}: the whole repository."
    )
    assert str(tmp_path / "lost") in hooks.missing([compose("config", [f"resume={tmp_path / 'lost'}"])])[0]


def test_local_paths_that_do_not_exist_are_reported_before_a_job_is_submitted(tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_text("{}")
    hooks = RunHooks("config", Config)

    def missing(*overrides: str) -> list[str]:
        return hooks.missing([compose("config", ["model=local", *overrides])])

    expected = [f"model.path={tmp_path}/none: no such file or folder.", "data.path=/nowhere: no such file or folder."]
    assert missing(f"model.path={tmp_path}/none", "data=local", "data.path=/nowhere") == expected
    assert missing(f"model.path={half}") == [f"model.path={half}: a model without its weights as safetensors."]
    (half / "model.safetensors").touch()
    assert missing(f"model.path={half}") == []


def test_a_resumed_run_asks_for_the_hardware_that_it_had(tmp_path: Path) -> None:
    started = stored(tmp_path / "started", "hardware=cpu_processes", "hardware.devices=4")
    config_dict = compose("config", [f"resume={started}"])
    assert RunHooks("config", Config).complete(config_dict, []) == [] and config_dict["hardware"]["devices"] == 4
    (started / "result.json").write_text('{"status": "complete"}')
    (problem,) = RunHooks("config", Config).complete(compose("config", [f"resume={started}"]), [])
    assert "nothing to resume" in problem


@pytest.mark.slow
def test_help_is_printed_before_anything_is_composed() -> None:
    done = subprocess.run([sys.executable, "-m", "mcqa.prefetch", "--help"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Download what runs need")
