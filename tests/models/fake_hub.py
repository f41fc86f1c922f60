"""A model hub without a network: caches made by hand, and a stand-in for the downloads of the hub's libraries.

conftest.py makes the fixtures known.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from mcqa.config.composition import PACKAGE, compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import hub as model_hub

STARTER = PACKAGE / "models" / "assets" / "starter"
CHOICES = {"label": ["A", "B"], "text": ["one", "two"]}
ROWS = [{"id": str(n), "question": f"What is {n}?", "choices": CHOICES, "answerKey": "A"} for n in range(3)]
QWEN = "Qwen/Qwen3-0.6B-Base"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's libraries, which this process uses from now on."""
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", *model_hub.OFFLINE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(model_hub, "hub_reachable", lambda: True)
    model_hub.go_offline_if_unreachable.cache_clear()
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


@pytest.fixture
def downloads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A hub that has every model and question set; the list of what was requested."""
    import datasets
    import huggingface_hub

    requested: list[Any] = []
    original = huggingface_hub.snapshot_download

    def download(name: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return original(name, **options)
        requested.append((name, options["allow_patterns"], options["ignore_patterns"]))
        if name.startswith("gated/"):
            raise OSError("401 Client Error\nThis repo is gated.")
        return str(snapshot(cache, name, "*.safetensors" if name.startswith("pickled/") else ""))

    def load(name: str, configuration: str, split: str, revision: str | None) -> list[dict[str, Any]]:
        requested.append((name, configuration, split))
        return ROWS

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(datasets, "load_dataset", load)
    return requested
