"""Whether the files of a saved model, adapter or tokenizer are whole, before a library reads them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcqa.config.errors import FileError, ModelError
from mcqa.config.schema import ModelConfig
from mcqa.data import hub
from mcqa.runs.files import read_stored, write_json

EMBEDDED = "embedded:"
BESIDE = "../"
"""How the path of an adapter's base begins that is another stage of its run."""
ASSETS = Path(__file__).with_name("assets")

ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_PICKLE = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
BASE_QUANTIZATION = "base_quantization.json"
"""The file beside an adapter that says how its base was quantised."""

WEIGHTS, WEIGHTS_INDEX, PICKLES = "model.safetensors", "model.safetensors.index.json", "pytorch_model*.bin"
JSON_OBJECTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    ADAPTER_CONFIG,
    BASE_QUANTIZATION,
)
"""What transformers and PEFT read where it is there."""

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "*.tiktoken", "*.bpe.*")
"""Files one of which has the vocabulary of a tokenizer."""


def location(path: str, key: str = "model.path") -> str:
    """Return a path or hub id that transformers can load; `embedded:<name>` is a model inside this package.

    key: of the configuration, for messages.

    Raises:
        ModelError: it is the path of a local folder that does not exist.
    """
    if path.startswith(EMBEDDED):
        folder = ASSETS / path.removeprefix(EMBEDDED)
        if not folder.is_dir():
            raise ModelError(f"{key}={path}: no such model is embedded, only {EMBEDDED}starter.")
        return str(folder)
    if hub.is_hub_id(path):
        return path
    if not Path(path).expanduser().is_dir():
        raise ModelError(f"{key}={path}: there is no such folder here. A hub id has the form owner/name.")
    return str(Path(path).expanduser())


def base_of_adapter(folder: Path) -> str | None:
    """Return the path or hub id of the base that an adapter was trained on, where its configuration has one.

    A stage that lies in the same run folder is named from where the adapter lies, so that the folder can be moved.
    """
    path = read_object(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if isinstance(path, str) and path.startswith(BESIDE) and (folder / path).is_dir():
        return os.path.normpath(folder / path)
    return path if isinstance(path, str) else None


def name_base_from_here(folder: Path) -> None:
    """Name the base of the adapter in a folder, if there is one, by its path from there."""
    if holds_adapter(folder):
        settings = read_object(folder / ADAPTER_CONFIG)
        base = os.path.relpath(settings["base_model_name_or_path"], folder)
        write_json(folder / ADAPTER_CONFIG, settings | {"base_model_name_or_path": base})


def check_files(folder: Path, key: str, path: str) -> None:
    """Check the files of a saved model, adapter or tokenizer.

    key: of the configuration, which has this path.

    Raises:
        ModelError: files in the folder are missing, damaged or not trusted; names all of them.
    """
    if lines := problems(folder, weights=key != "model.tokenizer"):
        raise ModelError(
            "\n  ".join([f"{key}={path} cannot be loaded:", *lines])
            + "\nWhere a file is missing or damaged, copy the folder again from where it came from, or train it again."
        )


def check_local(model: ModelConfig) -> None:
    """Check a model and tokenizer in local folders, as far as their files tell; those of the hub are not looked at.

    Raises:
        ModelError: a folder is missing, or files in it are missing, damaged or not trusted.
    """
    if model.path is None:  # random weights
        return
    places = {"model.path": model.path, **({"model.tokenizer": model.tokenizer} if model.tokenizer else {})}
    for key, path in places.items():
        if (folder := Path(location(path, key))).is_dir():
            check_files(folder, key, path)
    key, path = list(places.items())[-1]
    if (folder := Path(location(path, key))).is_dir() and not any(any(folder.glob(name)) for name in TOKENIZERS):
        raise ModelError(
            f"{key}={path}: there is no tokenizer in this folder ({', '.join(TOKENIZERS[:4])}, …). Copy its files "
            "there, or name the folder or hub id that has it by model.tokenizer=<path>."
        )


def holds_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, whole or not, and no model."""
    here = os.path.exists  # which has no errors of its own
    if here(folder / ADAPTER_CONFIG):
        return True
    return not here(folder / "config.json") and (here(folder / ADAPTER_WEIGHTS) or here(folder / ADAPTER_PICKLE))


def problems(folder: Path, weights: bool) -> list[str]:
    """Return a sentence for each file that is missing, damaged or not trusted.

    weights: of a model or adapter; otherwise only a tokenizer is read.
    """
    try:
        here = {path.name for path in folder.iterdir()}
    except OSError as error:
        return [f"{folder} cannot be read: {error.strerror or error}."]
    found = [text for name in JSON_OBJECTS if name in here for text in _json_problems(folder / name)]
    if weights:
        found += _adapter_problems(folder) if holds_adapter(folder) else _model_problems(folder)
    return found


def _json_problems(path: Path) -> Iterator[str]:
    try:
        read_object(path)
    except FileError as error:
        yield str(error).strip()


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a model.

    Raises:
        FileError: it is missing, damaged or cannot be read.
    """
    return read_stored(path, "", dict)


def _adapter_problems(folder: Path) -> Iterator[str]:
    if not (folder / ADAPTER_CONFIG).exists():
        yield f"{folder / ADAPTER_CONFIG} is missing."
    if (folder / ADAPTER_WEIGHTS).exists():
        yield from _safetensors_problems(folder / ADAPTER_WEIGHTS)
    elif (folder / ADAPTER_PICKLE).exists():
        yield (
            f"{folder / ADAPTER_PICKLE}: only safetensors are read, for weights in pickle files can run code. If you "
            'trust it, convert it there: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{ADAPTER_PICKLE}', weights_only=True), '{ADAPTER_WEIGHTS}')\""
        )
    else:
        yield f"{folder / ADAPTER_WEIGHTS} is missing."


def _model_problems(folder: Path) -> Iterator[str]:
    if not (folder / "config.json").exists():
        yield f"{folder / 'config.json'} is missing."
    if (folder / WEIGHTS).exists():
        yield from _safetensors_problems(folder / WEIGHTS)
    elif (folder / WEIGHTS_INDEX).exists():
        yield from _shards_problems(folder / WEIGHTS_INDEX)
    elif pickles := sorted(folder.glob(PICKLES)):
        yield (
            f"{pickles[0]}: only safetensors are read, for weights in pickle files can run code. If you trust it, "
            'convert it: python -c "from transformers import AutoModelForCausalLM as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    else:
        yield f"{folder / WEIGHTS} is missing."


def _shards_problems(index: Path) -> Iterator[str]:
    try:
        files = read_object(index).get("weight_map")
    except FileError as error:
        yield str(error).strip()
        return
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        yield f"{index} is damaged: its weight_map does not say in which file each weight is."
        return
    for name in sorted(set(files.values())):
        yield from _safetensors_problems(index.with_name(name))


def _safetensors_problems(path: Path) -> Iterator[str]:
    """Only the header is read: it says where each weight lies, and so how long the file is."""
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb"):  # whose errors have better words
            pass
        with safe_open(path, framework="numpy"):
            pass
    except FileNotFoundError:
        yield f"{path} is missing."
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror or error}."
    except SafetensorError as error:
        yield f"{path} is damaged: {error}. It has {path.stat().st_size} bytes."
