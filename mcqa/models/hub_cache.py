"""What a run needs from the model hub, whether it is in the cache of this machine, and how to download it.

Cluster nodes usually have no internet access. What a job needs is downloaded to a cache that the nodes share with the
login node, by the same calls and under the same names with which a run looks for it, and jobs run offline.
"""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import GENERATED, Config, ConfigDict, DataConfig, EvaluateConfig, ModelConfig
from mcqa.config.validation import typed
from mcqa.data import hub
from mcqa.data.texts import on_hub
from mcqa.models.model_files import ADAPTER_CONFIG
from mcqa.runs import run_folder
from mcqa.runs.files import read_optional

TEXT_FILES = ("*.json", "*.txt", "*.model", "*.jinja")
OTHER_FORMATS = ("*/*", "consolidated*")  # the same weights in formats that are not read
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


# --- offline jobs ----------------------------------------------------------------------------------------------------


def jobs_are_offline() -> bool:
    """Whether jobs must not contact the hub: yes, unless the user says by HF_HUB_OFFLINE=0 that nodes reach it."""
    return os.environ.get("HF_HUB_OFFLINE", "1").upper() in ("1", "ON", "YES", "TRUE")


def offline_variables() -> dict[str, str]:
    """Return the variables that make a job offline; those that the user has set are part of its environment anyway."""
    return {name: "1" for name in hub.OFFLINE_VARIABLES if name not in os.environ} if jobs_are_offline() else {}


def prefetch_command(arguments: Sequence[str]) -> str:
    """Return the sentence with the command that downloads what the command with these arguments needs."""
    kept = [text for text in arguments if not text.startswith("dry_run=")]
    return (
        f"Download it here first: python -m mcqa.prefetch {shlex.join(kept)}   "
        "(if the nodes reach the hub, set HF_HUB_OFFLINE=0 before the command instead)"
    )


# --- requirements ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModelRepository:
    """A model on the hub, or only its tokenizer."""

    key: str  # of the configuration, for messages
    name: str  # owner/name
    revision: str | None
    weights: bool  # false: only the tokenizer is needed
    code: bool  # Python files too (model.trust_remote_code)

    def __str__(self) -> str:
        return self.name

    def missing_parts(self) -> Iterator[str]:
        """Yield in words what is not in the cache."""
        folder = self._snapshot()
        if folder is None:
            yield "the whole repository"
            return
        is_adapter = self.weights and (folder / ADAPTER_CONFIG).exists()
        has_tokenizer = any((folder / name).exists() for name in TOKENIZER_FILES)
        if not has_tokenizer and not is_adapter:  # an adapter may take the tokenizer of its base
            yield "the tokenizer"
        if not self.weights:
            return
        if base := _base_model(folder):
            yield from (f"{part} of its base {base.name}" for part in base.missing_parts())
        if not is_adapter and not (folder / "config.json").exists():
            yield "config.json"
        index = folder / "model.safetensors.index.json"
        if index.exists():
            weight_map = read_optional(index).get("weight_map")
            if not isinstance(weight_map, dict):
                yield f"{index.name}, which is damaged (delete {index})"
                return
            files = set(map(str, weight_map.values()))
            if lost := sum(not (folder / name).exists() for name in files):
                yield f"{lost} of {len(files)} weight files"
        elif not list(folder.glob("*.safetensors")):
            yield "the weights"

    def download(self) -> Path:
        """Download to the cache; return the folder.

        Raises:
            ModelError: the hub cannot be reached, refuses access or has no such model as safetensors.
        """
        hub.go_offline_if_unreachable()
        patterns = [*TEXT_FILES, *(("*.safetensors",) if self.weights else ()), *(("*.py",) if self.code else ())]
        try:
            folder = self._fetch(allow_patterns=patterns, ignore_patterns=list(OTHER_FORMATS))
        except Exception as error:  # from several libraries, always because of the hub
            advice = hub.login_advice(error, self.name) or "Can this machine reach the hub, and is the name right?"
            raise ModelError(f"{self.key}={self.name}: {hub.first_line(error)} {advice}") from error
        if self.weights and (base := _base_model(folder)):
            base.download()
        if message := missing_message(self):
            raise ModelError(f"{message} Does the hub have it as safetensors? Nothing else is read.")
        return folder

    def _snapshot(self) -> Path | None:
        with suppress(OSError, ValueError):  # huggingface_hub's own errors for missing files derive from these
            return self._fetch(local_files_only=True)
        return None

    def _fetch(self, **options: Any) -> Path:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(self.name, revision=self.revision, cache_dir=_model_cache(), **options))


@dataclass(frozen=True)
class DatasetSplits:
    """Splits of a question set on the hub, under the publisher's names."""

    key: str
    data: DataConfig | hub.TextsOnHub
    splits: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.data.hub)

    def __str__(self) -> str:
        return f"{self.name} {self.data.hub_config or ''}".strip()

    def missing_parts(self) -> Iterator[str]:
        """Yield the names of splits that are not in the cache.

        datasets keeps what it has prepared as <owner>___<name>/<configuration>/<version>/<commit>/…-<split>.arrow.
        """
        from datasets.naming import camelcase_to_snakecase

        *owner, name = self.name.split("/")
        folder = _dataset_cache() / "___".join([*owner, camelcase_to_snakecase(name)])
        for split in self.splits:
            prefix = f"{self.data.hub_config or '*'}/*/*/*-{split.partition('[')[0]}"  # train of train[:10%]
            if not any(list(folder.glob(f"{prefix}{suffix}")) for suffix in (".arrow", "-[0-9]*.arrow")):
                yield f"{split} of {self.data.hub_config}" if self.data.hub_config else split

    def download(self) -> Path:
        """Download to the cache; return the folder of all question sets.

        Raises:
            DataError: the hub cannot be reached or has no such split.
        """
        for split in self.splits:
            if next(iter(hub.read_rows(self.data, split)), None) is None:
                raise DataError(f"{self.key}={self.name}: {split} is empty.")
        return _dataset_cache()


Requirement = ModelRepository | DatasetSplits


def missing_message(requirement: Requirement) -> str | None:
    """Return a sentence about what is not in the cache, None if all of it is."""
    where = f"{requirement.key}={requirement.name}: missing from the cache {hub.cache_folder()}"
    return f"{where}: {parts}." if (parts := ", ".join(requirement.missing_parts())) else None


def _model_cache() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE", hub.cache_folder() / "hub")).expanduser()


def _dataset_cache() -> Path:
    return Path(os.environ.get("HF_DATASETS_CACHE", hub.cache_folder() / "datasets")).expanduser()


def _base_model(folder: Path) -> ModelRepository | None:
    """The base model of the adapter in this folder, if both exist and the base is on the hub."""
    name = read_optional(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    is_on_hub = isinstance(name, str) and hub.is_hub_id(name)
    return ModelRepository("model.path", str(name), None, True, False) if is_on_hub else None


# --- of a configuration ----------------------------------------------------------------------------------------------


def effective_config(config_dict: ConfigDict, kind: type[Config]) -> Config:
    """Return the configuration that will run: with `resume`, the stored one of the run that is continued.

    Raises:
        ConfigError: there is no such run, or its configuration is not valid.
    """
    if config_dict.get("resume") is None or kind is EvaluateConfig:
        return typed(config_dict, kind)
    return typed(run_folder.config_of(run_folder.open_existing(config_dict["resume"])), kind)


def requirements(config: Config) -> list[Requirement]:
    """Return what the configuration needs from the hub; nothing for embedded and local models and question sets."""
    model = _model(config)
    needed: list[Requirement] = []
    if hub.is_hub_id(model.path):
        needed.append(ModelRepository("model.path", str(model.path), model.revision, True, model.trust_remote_code))
    elif model.path is not None and (base := _base_model(Path(model.path).expanduser())):
        needed.append(base)
    if hub.is_hub_id(model.tokenizer):
        needed.append(ModelRepository("model.tokenizer", str(model.tokenizer), model.revision, False, False))
    for key, data, splits in _question_sets(config):
        if data.reader not in GENERATED and data.path is None and data.hub is not None:
            needed.append(DatasetSplits(f"{key}.hub", data, splits))
    named = {"data.texts": config.data.texts, "evaluation.passages": config.evaluation.passages}
    needed += [DatasetSplits(key, found, ("train",)) for key, path in named.items() if (found := on_hub(key, path))]
    of_stages = [each for stage in _stages_to_train(config) for each in requirements(stage)]
    return needed + [each for each in of_stages if each not in needed]


def missing_from_cache(config: Config) -> list[str]:
    """Return a sentence for everything that the configuration needs from the hub and is not in the cache."""
    return [message for requirement in requirements(config) if (message := missing_message(requirement))]


def missing_local_paths(config: Config) -> list[str]:
    """Return a sentence for every local model, tokenizer and question set that does not exist."""
    model = _model(config)
    paths = {key: path for key, path in (("model.path", model.path), ("model.tokenizer", model.tokenizer)) if path}
    local = {key: path for key, path in paths.items() if not path.startswith("embedded:") and not hub.is_hub_id(path)}
    local |= {f"{key}.path": data.path for key, data, _ in _question_sets(config) if data.path is not None}
    if model.run is not None:  # a base that is made when it is needed
        local.pop("model.path", None)
    lines = [
        f"{key}={path}: no such file or folder." for key, path in local.items() if not Path(path).expanduser().exists()
    ]
    folder = Path(str(model.path)).expanduser()
    if model is config.model and (folder / "config.json").exists() and not list(folder.glob("*.safetensors")):
        lines.append(f"model.path={folder}: a model without its weights as safetensors.")
    of_stages = [line for stage in _stages_to_train(config) for line in missing_local_paths(stage)]
    return lines + [line for line in of_stages if line not in lines]


def _stages_to_train(config: Config) -> list[Config]:
    """The stages before the last one; of a finished run that is evaluated none."""
    return [] if isinstance(config, EvaluateConfig) else [stage for _, stage in config.earlier_stages]


def _model(config: Config) -> ModelConfig:
    """The model that is loaded: when a finished run is evaluated, the one that it saved."""
    if not isinstance(config, EvaluateConfig) or config.run is None:
        return config.model
    return replace(config.model, path=str(Path(config.run).expanduser().absolute() / "model"), tokenizer=None)


def _question_sets(config: Config) -> Iterator[tuple[str, DataConfig, tuple[str, ...]]]:
    """Key, data and the publisher's splits of each question set.

    data has all its splits: trials do not read test, but the confirmation of their study does.
    """
    splits, evaluation = config.data.splits, config.evaluation
    yield "data", config.data, tuple(dict.fromkeys(name for name in (splits.train, splits.dev, splits.test) if name))
    others = {"evaluation.dev": evaluation.dev}
    others |= {f"evaluation.sets[{number}]": other for number, other in enumerate(evaluation.sets)}
    for key, other in others.items():
        if other is not None:
            name = getattr(other.data.splits, other.split) or other.data.splits.train
            shots = other.data.splits.train if config.prompt.shots else None
            yield key, other.data, tuple(dict.fromkeys(split for split in (name, shots) if split))
