"""Whether the files of a saved model, adapter or tokenizer are whole, before a library reads them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcqa.config.errors import FileError
from mcqa.runs.files import read_stored

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
