"""What a run needs from the hub and whether the cache has it: on caches made here."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mcqa.models import hub_cache
from tests.models.fake_hub import QWEN, config, prepared, snapshot

pytestmark = pytest.mark.usefixtures("cache")


# --- requirements ---


@pytest.mark.parametrize(
    "overrides", [[], ["model=local", "model.path=."], ["model=scratch", "objective=pretrain", "peft=none"]]
)
def test_embedded_local_and_new_models_and_embedded_questions_need_nothing(overrides: list[str]) -> None:
    assert hub_cache.requirements(config(*overrides)) == []


def test_texts_and_passages_on_the_hub_are_needed() -> None:
    texts, passages = hub_cache.requirements(
        config(
            "data.texts=hub:owner/texts/small@abc", "evaluation.context=bm25", "evaluation.passages=hub:owner/passages"
        )
    )
    assert (texts.key, texts.name, texts.data.hub_config, texts.data.revision) == (
        "data.texts", "owner/texts", "small", "abc",
    )  # fmt: skip
    assert (passages.key, passages.name, passages.splits) == ("evaluation.passages", "owner/passages", ("train",))


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


# --- whether it is in the cache ---


def test_of_a_whole_model_nothing_is_missing_and_of_a_part_of_one_the_rest(cache: Path) -> None:
    required = hub_cache.requirements(config("model=qwen3_0_6b"))
    assert (
        hub_cache.missing_message(required[0])
        == f"model.path={QWEN}: missing from the cache {cache}: the whole repository."
    )
    snapshot(cache, QWEN)
    assert hub_cache.missing_message(required[0]) is None
    for leave_out, part in (
        ("*.safetensors", "the weights"),
        ("tok*", "the tokenizer"),
        ("config.json", "config.json"),
    ):
        shutil.rmtree(cache)
        snapshot(cache, QWEN, leave_out)
        assert hub_cache.missing_message(required[0]) == f"model.path={QWEN}: missing from the cache {cache}: {part}."


def test_missing_files_of_a_model_in_several_are_counted(cache: Path) -> None:
    folder = snapshot(cache, QWEN)
    weights = {"a": "model.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    (requirement,) = hub_cache.requirements(config("model=qwen3_0_6b"))
    assert ": 2 of 3 weight files." in str(hub_cache.missing_message(requirement))


@pytest.mark.parametrize("content", ["", "[]", '{"weight_map": [1]}'])
def test_a_damaged_list_of_weight_files_is_missing(cache: Path, content: str) -> None:
    index = snapshot(cache, QWEN) / "model.safetensors.index.json"
    index.write_text(content)
    (requirement,) = hub_cache.requirements(config("model=qwen3_0_6b"))
    assert f"{index.name}, which is damaged (delete {index})" in str(hub_cache.missing_message(requirement))


def test_what_is_missing_of_the_base_of_an_adapter_is_named(cache: Path) -> None:
    folder = snapshot(cache, "my/adapter", "tok*")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": QWEN}))
    (requirement,) = hub_cache.requirements(config("model=local", "model.path=my/adapter"))
    assert f": the whole repository of its base {QWEN}." in str(hub_cache.missing_message(requirement))
    snapshot(cache, QWEN)
    assert hub_cache.missing_message(requirement) is None


def test_splits_of_a_question_set_that_were_not_prepared_are_named(cache: Path) -> None:
    prepared(cache, ("train", "validation"))
    (requirement,) = hub_cache.requirements(config("data=arc_easy"))
    assert (
        hub_cache.missing_message(requirement)
        == f"data.hub=allenai/ai2_arc: missing from the cache {cache}: test of ARC-Easy."
    )
    (other,) = hub_cache.requirements(config("data=arc_challenge"))
    assert ": train of ARC-Challenge, validation of ARC-Challenge, test of ARC-Challenge." in str(
        hub_cache.missing_message(other)
    )


@pytest.mark.slow
def test_what_is_not_missing_is_loaded_by_a_job_without_a_network(cache: Path) -> None:
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


# --- offline jobs ---


def test_jobs_are_offline_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_cache.offline_variables() == {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_cache.offline_variables() == {"HF_DATASETS_OFFLINE": "1"}
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert hub_cache.offline_variables() == {} and not hub_cache.jobs_are_offline()


def test_the_command_that_downloads_has_the_same_arguments() -> None:
    arguments = ["--multirun", "model=a,b", "hydra.launcher.setup=[module load x]", "dry_run=true"]
    sentence = hub_cache.prefetch_command(arguments)
    assert "python -m mcqa.prefetch --multirun model=a,b 'hydra.launcher.setup=[module load x]' " in sentence


def test_another_question_set_of_the_evaluation_is_needed_under_its_own_key() -> None:
    run = config("data=arc_easy", "evaluation.sets=[arc_challenge]")
    *_, other = hub_cache.requirements(run)
    assert (other.key, other.splits) == ("evaluation.sets[0].hub", ("test",))
    assert hub_cache.requirements(replace(run, evaluation=config().evaluation))[-1].key == "data.hub"
