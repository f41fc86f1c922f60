"""What a run needs of the model hub, whether it lies in this machine's cache, and how it gets there.

Nodes of a cluster have no way out as a rule: what is needed is brought to a cache that they share with the login node,
by the same calls and under the same names by which a run looks for it, and jobs are told not to ask the hub.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import Config, DataConfig, EvaluateConfig, ModelConfig
from mcqa.config.validation import typed
from mcqa.data.hub import VARIABLES, cache, go_offline_if_unreachable
from mcqa.runs import run_folder
from mcqa.runs.files import read_yaml

TEXTS = ("*.json", "*.txt", "*.model", "*.jinja")


NOT_READ = ("*/*", "consolidated*")  # other formats of the same weights


TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


class Repository(NamedTuple):
    """Of a model on the hub. weights: more than the tokenizer is wanted."""

    key: str  # that names it in the configuration
    name: str
    revision: str | None
    weights: bool
    code: bool


class Table(NamedTuple):
    """Splits of a question set on the hub, by the publisher's names."""

    key: str
    data: DataConfig
    splits: tuple[str, ...]


Need = Repository | Table


ConfigDict = dict[str, Any]


def wanted() -> bool:
    """Whether jobs are told not to ask the hub: unless the user says by HF_HUB_OFFLINE=0 that nodes reach it."""
    return os.environ.get("HF_HUB_OFFLINE", "1").upper() in ("1", "ON", "YES", "TRUE")


def variables() -> dict[str, str]:
    """For the environment of a job; what the user has set goes with the job by itself."""
    return {name: "1" for name in VARIABLES if name not in os.environ} if wanted() else {}


def advice(arguments: Sequence[str]) -> str:
    kept = [text for text in arguments if not text.startswith("dry_run=")]
    return (
        f"Bring it here first: python -m mcqa.prefetch {shlex.join(kept)}   "
        "(where nodes reach the hub, HF_HUB_OFFLINE=0 before the command leaves this out)"
    )


def models() -> Path:
    """Where models lie in it."""
    return Path(os.environ.get("HF_HUB_CACHE", cache() / "hub")).expanduser()


def tables() -> Path:
    """Where question sets lie in it."""
    return Path(os.environ.get("HF_DATASETS_CACHE", cache() / "datasets")).expanduser()


# ---- what is needed


def as_it_runs(tree: ConfigDict, kind: type[Config]) -> Config:
    """What a configuration asks for; of a run that it goes on with, that one's own.

    Raises:
        ConfigError: there is no such run, or its configuration is not one.
    """
    if tree.get("resume") is None or kind is EvaluateConfig:
        return typed(tree, kind)
    return typed(read_yaml(run_folder.open_existing(tree["resume"]) / "config.yaml"), kind)


def needs(config: Config) -> list[Need]:
    """Of the hub; nothing for embedded and local models and question sets."""
    model = _model(config)
    found: list[Need] = []
    if _is_hub_id(model.path):
        found.append(Repository("model.path", str(model.path), model.revision, True, model.trust_remote_code))
    if _is_hub_id(model.tokenizer):
        found.append(Repository("model.tokenizer", str(model.tokenizer), model.revision, False, False))
    if model.path is not None and (base := _base_of(Path(model.path).expanduser())):
        found.append(base)
    sets = [("data", config.data, _splits(config))]
    evaluation = config.evaluation
    for key, one in [
        ("evaluation.dev", evaluation.dev),
        *((f"evaluation.sets[{number}]", one) for number, one in enumerate(evaluation.sets)),
    ]:
        if one is not None:
            split = getattr(one.data.splits, one.split) or one.data.splits.train
            sets.append((key, one.data, [split] if split else []))
    for key, data, splits in sets:
        if data.reader != "facts" and data.path is None and data.hub is not None:
            found.append(Table(f"{key}.hub", data, tuple(splits)))
    return found


def _model(config: Config) -> ModelConfig:
    """Of a run that is measured the one that it saved."""
    if not isinstance(config, EvaluateConfig) or config.run is None:
        return config.model
    return replace(config.model, path=str(Path(config.run).expanduser().absolute() / "model"), tokenizer=None)


def _splits(config: Config) -> list[str]:
    """The publisher's; all of them, though a trial leaves test alone: the study's confirmation does not."""
    splits = config.data.splits
    return list(dict.fromkeys(split for split in (splits.train, splits.dev, splits.test) if split))


def _is_hub_id(path: str | None) -> bool:
    """As model.location decides, which loads torch."""
    if path is None or path.startswith(("embedded:", ".", "/", "~")) or path.count("/") > 1:
        return False
    return not Path(path).expanduser().is_dir()


def _base_of(folder: Path) -> Repository | None:
    """The base on the hub of the adapter in this folder."""
    try:
        name = json.loads((folder / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Repository("model.path", name, None, True, False) if _is_hub_id(name) else None


# ---- whether it is here


def missing(config: Config) -> list[str]:
    """A line for everything that is needed and not in the cache."""
    return [line for need in needs(config) for line in lacking(need)]


def absent(config: Config) -> list[str]:
    """A line for every local model, tokenizer and question set that is named and is not there."""
    sets = [config.data, *(one.data for one in (config.evaluation.dev, *config.evaluation.sets) if one is not None)]
    model = _model(config)
    named = [("model.path", model.path), ("model.tokenizer", model.tokenizer)]
    local = [(key, path) for key, path in named if path and not path.startswith("embedded:") and not _is_hub_id(path)]
    lines = [
        f"{key}={path}: no such file or folder."
        for key, path in [*local, *(("data.path", str(data.path)) for data in sets if data.path is not None)]
        if not Path(path).expanduser().exists()
    ]
    folder = Path(str(model.path)).expanduser()
    if model is config.model and (folder / "config.json").exists() and not list(folder.glob("*.safetensors")):
        lines.append(f"model.path={folder}: a model without its weights as safetensors.")
    return lines


def lacking(need: Need) -> list[str]:
    if isinstance(need, Table):
        lost = [split for split in need.splits if not _has_split(need.data, split)]
        whole = f" of {need.data.hub_config}" if need.data.hub_config else ""
        return [f"{need.key}={need.data.hub}: the cache {cache()} lacks {', '.join(lost)}{whole}."] if lost else []
    what = list(_lacking_files(need))
    return [f"{need.key}={need.name}: the cache {cache()} lacks {', '.join(what)}."] if what else []


def _lacking_files(need: Repository) -> Iterator[str]:
    folder = _snapshot(need)
    if folder is None:
        yield "it"
        return
    if not any((folder / name).exists() for name in TOKENIZERS) and not _has_own_tokenizer_elsewhere(need, folder):
        yield "its tokenizer"
    if need.weights:
        yield from _lacking_weights(folder)


def _has_own_tokenizer_elsewhere(need: Repository, folder: Path) -> bool:
    """An adapter may come without one, and only the base has it."""
    return need.weights and (folder / "adapter_config.json").exists()


def _lacking_weights(folder: Path) -> Iterator[str]:
    if (base := _base_of(folder)) and (what := list(_lacking_files(base))):
        yield f"of its base {base.name} {', '.join(what)}"
    if not any((folder / name).exists() for name in ("config.json", "adapter_config.json")):
        yield "its config.json"
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        if not list(folder.glob("*.safetensors")):
            yield "its weights"
        return
    files = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    lost = [name for name in files if not (folder / name).exists()]
    if lost:
        yield f"{len(lost)} of its {len(files)} files of weights"


def _snapshot(need: Repository) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(need.name, revision=need.revision, cache_dir=models(), local_files_only=True))
    except (OSError, ValueError):  # among them the hub's own, of what is not there
        return None


def _has_split(data: DataConfig, split: str) -> bool:
    """As datasets keeps what it has prepared: <owner>___<name>/<configuration>/<version>/<commit>/…-<split>.arrow."""
    *owner, name = str(data.hub).split("/")
    folder = tables() / "___".join([*owner, _snake_case(name)])
    whole = split.partition("[")[0]
    files = f"{data.hub_config or '*'}/*/*"
    return any(list(folder.glob(f"{files}/*-{whole}{end}")) for end in (".arrow", "-[0-9]*.arrow"))


def _snake_case(name: str) -> str:
    """As datasets names folders."""
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()


# ---- how it gets here


def bring(need: Need) -> Path:
    """Where it lies now.

    Raises:
        ModelError, DataError: it could not be brought.
    """
    return _bring_table(need) if isinstance(need, Table) else _bring_repository(need)


def _bring_table(need: Table) -> Path:
    from mcqa.data import hub

    for split in need.splits:
        if next(iter(hub.rows(need.data, split)), None) is None:
            raise DataError(f"{need.key}={need.data.hub}: {split} is empty.")
    return tables()


def _bring_repository(need: Repository) -> Path:
    from huggingface_hub import snapshot_download

    go_offline_if_unreachable()
    patterns = [*TEXTS, *(("*.safetensors",) if need.weights else ()), *(("*.py",) if need.code else ())]
    try:
        folder = Path(
            snapshot_download(
                need.name,
                revision=need.revision,
                cache_dir=models(),
                allow_patterns=patterns,
                ignore_patterns=list(NOT_READ),
            )
        )
    except Exception as error:  # of several libraries, and all of it is about the hub
        raise ModelError(f"{need.key}={need.name}: {_reason(error, need)}") from error
    if need.weights and (base := _base_of(folder)):
        _bring_repository(base)
    if lines := lacking(need):
        raise ModelError(f"{lines[0]} Does the hub have it as safetensors? Nothing else is read.")
    return folder


def _reason(error: Exception, need: Repository) -> str:
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if "gated" in str(error).lower() or "401" in str(error) or "403" in str(error):
        return f"{line} Accept the licence at https://huggingface.co/{need.name} and log in with `hf auth login`."
    return f"{line} Is the hub within reach of this machine, and the name right?"
