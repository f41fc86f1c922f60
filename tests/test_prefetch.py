"""What a run needs of the hub, whether the cache has it, and how it is brought there: on caches made here."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcqa import evaluate, prefetch
from mcqa.config.command import hydra_command
from mcqa.config.composition import PACKAGE, compose
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.data import hub as reach
from mcqa.models import hub_cache
from mcqa.runs.files import write_yaml
from mcqa.sweep.adapter import RunHooks
from tests.sweep.backends.fake_slurm import FakeSlurm

STARTER = PACKAGE / "models" / "assets" / "starter"
CHOICES = {"label": ["A", "B"], "text": ["one", "two"]}
ROWS = [{"id": str(n), "question": f"What is {n}?", "choices": CHOICES, "answerKey": "A"} for n in range(3)]
QWEN = "Qwen/Qwen3-0.6B-Base"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", *reach.VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(reach, "_is_reached", lambda: True)
    reach.go_offline_if_unreachable.cache_clear()
    return tmp_path / "cache"


def config(*overrides: str) -> Config:
    return typed(compose("config", list(overrides)), Config)


def snapshot(cache: Path, name: str, leave_out: str = "") -> Path:
    """The embedded model as the hub's cache would hold it under this name."""
    repository = cache / "hub" / f"models--{name.replace('/', '--')}"
    folder = repository / "snapshots" / "abc"
    shutil.copytree(STARTER, folder, ignore=shutil.ignore_patterns(leave_out) if leave_out else None)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return folder


def prepared(cache: Path, splits: tuple[str, ...] = ("train", "validation", "test")) -> None:
    """ARC-Easy as datasets would have prepared it, with three questions a split."""
    import datasets
    from datasets.packaged_modules.parquet.parquet import Parquet

    files = {}
    for split in splits:
        path = cache / f"{split}.parquet"
        path.parent.mkdir(exist_ok=True)
        datasets.Dataset.from_list(ROWS).to_parquet(path)
        files[split] = [str(path)]
    aside = cache / "aside"
    builder = Parquet(
        cache_dir=str(aside), dataset_name="ai2_arc", config_name="ARC-Easy", hash="abc", data_files=files
    )
    builder.download_and_prepare()
    (made,) = aside.glob("ai2_arc/*/0.0.0/abc")  # in a folder of their own, since the files were given by hand
    target = cache / "datasets" / "allenai___ai2_arc" / "ARC-Easy" / "0.0.0" / "abc"
    target.parent.mkdir(parents=True)
    shutil.move(made, target)


# ---- what is needed


@pytest.mark.parametrize(
    "overrides", [[], ["model=local", "model.path=."], ["model=scratch", "objective=pretrain", "peft=none"]]
)
def test_embedded_local_and_new_models_and_embedded_questions_need_nothing(overrides: list[str]) -> None:
    assert hub_cache.requirements(config(*overrides)) == []


def test_a_model_a_tokenizer_and_every_split_of_a_question_set_are_needed() -> None:
    model, tokenizer, table = hub_cache.requirements(
        config("model=qwen3_0_6b", "model.tokenizer=some/words", "data=arc_easy")
    )
    assert (model.name, model.weights, tokenizer.name, tokenizer.weights) == (QWEN, True, "some/words", False)
    assert (table.data.hub, table.splits) == ("allenai/ai2_arc", ("train", "validation", "test"))


def test_a_question_set_in_a_folder_is_not_needed(tmp_path: Path) -> None:
    assert hub_cache.requirements(config("data=arc_easy", f"data.path={tmp_path}")) == []


def test_the_base_of_an_adapter_in_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": QWEN}))
    (base,) = hub_cache.requirements(config("model=local", f"model.path={tmp_path}"))
    assert base.name == QWEN


# ---- whether it is in the cache


def test_a_whole_model_lacks_nothing_and_one_without_a_part_lacks_that(cache: Path) -> None:
    needs = hub_cache.requirements(config("model=qwen3_0_6b"))
    assert hub_cache.missing_files(needs[0]) == [f"model.path={QWEN}: the cache {cache} lacks it."]
    snapshot(cache, QWEN)
    assert hub_cache.missing_files(needs[0]) == []
    for leave_out, words in (
        ("*.safetensors", "its weights"),
        ("tok*", "its tokenizer"),
        ("config.json", "its config.json"),
    ):
        shutil.rmtree(cache)
        snapshot(cache, QWEN, leave_out)
        assert hub_cache.missing_files(needs[0]) == [f"model.path={QWEN}: the cache {cache} lacks {words}."]


def test_a_model_in_parts_lacks_those_that_are_not_there(cache: Path) -> None:
    folder = snapshot(cache, QWEN)
    weights = {"a": "model.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    (need,) = hub_cache.requirements(config("model=qwen3_0_6b"))
    assert "lacks 2 of its 3 files of weights." in hub_cache.missing_files(need)[0]


def test_an_adapter_lacks_what_its_base_lacks(cache: Path) -> None:
    folder = snapshot(cache, "my/adapter", "tok*")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": QWEN}))
    (need,) = hub_cache.requirements(config("model=local", "model.path=my/adapter"))
    assert f"lacks of its base {QWEN} it." in hub_cache.missing_files(need)[0]
    snapshot(cache, QWEN)
    assert hub_cache.missing_files(need) == []


def test_a_question_set_lacks_the_splits_that_were_not_prepared(cache: Path) -> None:
    prepared(cache, ("train", "validation"))
    (need,) = hub_cache.requirements(config("data=arc_easy"))
    assert hub_cache.missing_files(need) == [f"data.hub=allenai/ai2_arc: the cache {cache} lacks test of ARC-Easy."]
    (other,) = hub_cache.requirements(config("data=arc_challenge"))
    assert "lacks train, validation, test of ARC-Challenge." in hub_cache.missing_files(other)[0]


def test_what_is_said_to_be_there_is_found_by_a_job_without_a_network(cache: Path) -> None:
    snapshot(cache, QWEN)
    prepared(cache)
    run = config("model=qwen3_0_6b", "data=arc_easy")
    assert hub_cache.missing_from_cache(run) == []
    code = """
        import os, sys
        from mcqa.config.composition import compose
        from mcqa.config.schema import Config
        from mcqa.config.validation import typed
        from mcqa.data.loading import load
        from mcqa.models import loading
        run = typed(compose("config", ["model=qwen3_0_6b", "data=arc_easy"]), Config)
        assert [len(split) for split in load(run.data).splits.values()] == [3, 3, 3]
        assert len(loading.load_tokenizer(run.model, [])) == 2000
    """
    code = "\n".join(line[8:] for line in code.splitlines())
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **hub_cache.offline_variables()})


def test_folders_of_question_sets_are_named_as_datasets_names_them() -> None:
    from datasets.naming import camelcase_to_snakecase

    for name in ("ai2_arc", "ScienceQA", "MMLU-Pro", "MedMCQA", "aB1C"):
        assert hub_cache._snake_case(name) == camelcase_to_snakecase(name)


# ---- bringing it


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A hub that has every model and question set; what it was asked for."""
    import datasets
    import huggingface_hub

    asked: list[Any] = []
    look = huggingface_hub.snapshot_download

    def download(name: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return look(name, **options)
        asked.append((name, options["allow_patterns"], options["ignore_patterns"]))
        if name.startswith("gated/"):
            raise OSError("401 Client Error\nThis repo is gated.")
        return str(snapshot(cache, name, "*.safetensors" if name.startswith("pickled/") else ""))

    def load(name: str, configuration: str, split: str, revision: str | None) -> list[dict[str, Any]]:
        asked.append((name, configuration, split))
        return ROWS

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mcqa.prefetch", *arguments])
        error = ""
        try:
            prefetch.command()
        except SystemExit as caught:
            error = str(caught.code)
        return capsys.readouterr().out + error

    return run


def test_where_nothing_is_needed_it_says_so(told: Callable[..., str], hub: list[Any]) -> None:
    assert told().startswith("There is nothing to bring") and told("--multirun", "seed=1,2").startswith(
        "There is nothing"
    )
    assert not hub


def test_a_run_s_model_without_its_pickles_and_its_questions_are_brought_once(
    told: Callable[..., str], hub: list[Any], cache: Path
) -> None:
    said = told("model=qwen3_0_6b", "data=arc_easy")
    (name, wanted, unwanted), *splits = hub
    assert name == QWEN and "*.safetensors" in wanted and not {"*.bin", "*.pt", "*.py"} & set(wanted)
    assert "consolidated*" in unwanted
    assert [split for *_, split in splits] == ["train", "validation", "test"]
    assert f"{QWEN}: brought to {cache}" in said and "allenai/ai2_arc ARC-Easy: brought to" in said
    hub.clear()
    assert f"{QWEN}: in the cache" in told("model=qwen3_0_6b") and not hub


def test_all_choices_of_a_list_are_brought(told: Callable[..., str], hub: list[Any]) -> None:
    told("--multirun", "model=qwen3_0_6b,qwen3_1_7b", "seed=1,2", "hydra/launcher=slurm")
    assert [name for name, *_ in hub] == [QWEN, "Qwen/Qwen3-1.7B-Base"]


def test_all_choices_of_a_study_are_brought_and_the_default_that_is_none_is_not(
    told: Callable[..., str], hub: list[Any], tmp_path: Path
) -> None:
    space = ("model=smollm2_135m,smollm2_360m", "data=facts,arc_easy", "optimizer.learning_rate=interval(1e-5,1e-3)")
    told("--multirun", "hydra.sweeper.n_trials=9", *space)
    assert [name.partition("/")[2] for name, *_ in hub] == ["SmolLM2-135M", "SmolLM2-360M"] + ["ai2_arc"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_dry_run_brings_nothing(told: Callable[..., str], hub: list[Any]) -> None:
    assert f"{QWEN}: would be brought" in told("model=qwen3_0_6b", "dry_run=true") and not hub


def test_everything_that_could_not_be_brought_is_told_at_the_end(told: Callable[..., str], hub: list[Any]) -> None:
    said = told("--multirun", "model=local", "model.path=gated/one,pickled/two,some/three")
    assert "some/three: brought" in said
    assert "model.path=gated/one: 401 Client Error Accept the licence at https://huggingface.co/gated/one" in said
    assert "lacks its weights. Does the hub have it as safetensors?" in said


# ---- for jobs that measure


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What keeps `python -m mcqa.evaluate … hydra/launcher=slurm` from submitting."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    FakeSlurm(tmp_path / "bin")

    def run(*arguments: str) -> str:
        asked = ["mcqa.evaluate", "--multirun", "hydra/launcher=slurm", *arguments, "dry_run=true"]
        monkeypatch.setattr(sys, "argv", asked)
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


def test_the_command_that_brings_what_a_measurement_lacks_works_as_it_is_printed(
    refused: Callable[..., str], told: Callable[..., str], hub: list[Any], cache: Path
) -> None:
    said = refused("model=qwen3_0_6b", "data=arc_easy", "splits=[test]")
    assert f"model.path={QWEN}: the cache {cache} lacks it." in said
    command = shlex.split(said.partition("python -m mcqa.prefetch ")[2].partition("   (where")[0])
    assert f"{QWEN}: brought to {cache}" in told(*command)
    assert QWEN not in refused("model=qwen3_0_6b", "data=arc_easy", "splits=[test]").partition("Bring it")[0]


def test_lists_of_a_measurement_need_no_multirun_here_either(told: Callable[..., str], hub: list[Any]) -> None:
    told("evaluate", "model=qwen3_0_6b,qwen3_1_7b", "splits=[test]")
    assert [name for name, *_ in hub] == [QWEN, "Qwen/Qwen3-1.7B-Base"]


@pytest.mark.parametrize("kept", ["+experiment=smoke", "data=arc_easy"])
def test_what_measuring_a_run_on_other_questions_lacks_is_told_before_a_job_is_sent(
    kept: str, refused: Callable[..., str], told: Callable[..., str], hub: list[Any], tmp_path: Path
) -> None:
    done = stored(tmp_path / "done", kept)
    asked = [f"run={done}", *(["data=arc_easy"] if "data" not in kept else [])]
    assert "data.hub=allenai/ai2_arc: the cache" in refused(*asked)
    assert "allenai/ai2_arc ARC-Easy: brought" in told("evaluate", *asked)
    assert "cache" not in refused(f"run={done}", "data=facts")


def test_the_base_of_a_run_s_adapter_is_needed_and_not_the_model_that_it_began_with(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    done = stored(tmp_path / "done", "+experiment=smoke", "model=qwen3_1_7b")
    assert "cache" not in refused(f"run={done}")
    (done / "model").mkdir()
    (done / "model" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": QWEN}))
    assert f"model.path={QWEN}: the cache" in refused(f"run={done}")


def test_a_run_that_is_not_there_is_told_before_a_job_is_sent(refused: Callable[..., str], tmp_path: Path) -> None:
    assert str(tmp_path / "lost") in refused(f"run={tmp_path / 'lost'}")


def test_a_run_that_goes_on_needs_what_its_own_configuration_asks_for(tmp_path: Path, cache: Path) -> None:
    begun = stored(tmp_path / "begun", "model=qwen3_0_6b")
    hooks = RunHooks("config", Config)
    assert (
        hooks.missing([compose("config", [f"resume={begun}"])])[0] == f"model.path={QWEN}: the cache {cache} lacks it."
    )
    assert str(tmp_path / "lost") in hooks.missing([compose("config", [f"resume={tmp_path / 'lost'}"])])[0]


def test_local_paths_that_are_not_there_are_told_before_a_job_is_sent(tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_text("{}")
    hooks = RunHooks("config", Config)

    def lacks(*overrides: str) -> list[str]:
        return hooks.missing([compose("config", ["model=local", *overrides])])

    lost = [f"model.path={tmp_path}/none: no such file or folder.", "data.path=/nowhere: no such file or folder."]
    assert lacks(f"model.path={tmp_path}/none", "data=local", "data.path=/nowhere") == lost
    assert lacks(f"model.path={half}") == [f"model.path={half}: a model without its weights as safetensors."]
    (half / "model.safetensors").touch()
    assert lacks(f"model.path={half}") == []


def test_a_run_that_goes_on_asks_for_the_hardware_that_it_had(tmp_path: Path) -> None:
    begun = stored(tmp_path / "begun", "hardware=cpu_processes", "hardware.devices=4")
    tree = compose("config", [f"resume={begun}"])
    assert RunHooks("config", Config).complete(tree, []) == [] and tree["hardware"]["devices"] == 4
    (begun / "result.json").write_text('{"status": "complete"}')
    (problem,) = RunHooks("config", Config).complete(compose("config", [f"resume={begun}"]), [])
    assert "nothing to resume" in problem


# ---- what a job is told


def test_jobs_are_offline_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_cache.offline_variables() == {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_cache.offline_variables() == {"HF_DATASETS_OFFLINE": "1"}
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert hub_cache.offline_variables() == {} and not hub_cache.jobs_are_offline()


def test_the_command_to_bring_is_the_one_that_was_given() -> None:
    given = ["--multirun", "model=a,b", "hydra.launcher.setup=[module load x]", "dry_run=true"]
    said = hub_cache.prefetch_command(given)
    assert "python -m mcqa.prefetch --multirun model=a,b 'hydra.launcher.setup=[module load x]' " in said


def test_a_key_that_is_named_in_a_set_of_the_evaluation_is_its_own() -> None:
    run = config("data=arc_easy", "evaluation.sets=[arc_challenge]")
    *_, further = hub_cache.requirements(run)
    assert (further.key, further.splits) == ("evaluation.sets[0].hub", ("test",))
    assert hub_cache.requirements(replace(run, evaluation=config().evaluation))[-1].key == "data.hub"


def test_help_is_told_before_anything_is_composed() -> None:
    done = subprocess.run([sys.executable, "-m", "mcqa.prefetch", "--help"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("Bring what runs need")
