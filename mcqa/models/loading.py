"""Base model, tokenizer and adapter: loaded, made from nothing, and saved."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mcqa.config.errors import ModelError
from mcqa.config.schema import HardwareConfig, ModelConfig, PeftConfig
from mcqa.data import hub
from mcqa.models import devices, sharding
from mcqa.models.adapters import BASE_QUANTIZATION, keep_4bit_weights_as_trained, quantization_config
from mcqa.models.from_scratch import first_line, new_model, new_tokenizer
from mcqa.runs import processes

EMBEDDED = "embedded:"


ASSETS = Path(__file__).with_name("assets")


def location(path: str) -> str:
    """A path that transformers can open; `embedded:<name>` stands for a model that this package carries.

    Raises:
        ModelError: when it looks like a local folder and there is none.
    """
    if path.startswith(EMBEDDED):
        folder = ASSETS / path.removeprefix(EMBEDDED)
        if not folder.is_dir():
            raise ModelError(f"model.path={path}: no such model is embedded, only {EMBEDDED}starter.")
        return str(folder)
    if Path(path).expanduser().is_dir():
        return str(Path(path).expanduser())
    if path.startswith((".", "/", "~")) or path.count("/") > 1:
        raise ModelError(f"model.path={path}: there is no such folder here. A hub id has the form owner/name.")
    return path


def load_tokenizer(config: ModelConfig, texts: Sequence[str]) -> Any:
    """The tokenizer of the model, with a token to pad with (which never reaches a loss or a score).

    A model of random weights gets one of its own, learned from the texts.

    Raises:
        ModelError: when there is none, or it cannot be loaded.
    """
    from transformers import AutoTokenizer

    if config.vocabulary_size is not None:
        return new_tokenizer(config.vocabulary_size, texts)
    path = config.tokenizer or config.path
    assert path is not None, "a rule of the configuration"
    tokenizer = _loaded(
        path,
        "tokenizer",
        lambda where: AutoTokenizer.from_pretrained(
            where, revision=config.revision, trust_remote_code=config.trust_remote_code
        ),
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def config_of(config: ModelConfig) -> Any:
    """transformers' configuration of the model (config.json), without its weights.

    Raises:
        ModelError: when there is none, or it cannot be loaded.
    """
    from transformers import AutoConfig

    assert config.path is not None, "a rule of the configuration"
    return _loaded(
        config.path,
        "configuration",
        lambda where: AutoConfig.from_pretrained(
            where, revision=config.revision, trust_remote_code=config.trust_remote_code
        ),
    )


def load_model(config: ModelConfig, peft: PeftConfig, machine: HardwareConfig, tokenizer: Any, seed: int) -> Any:
    """The base exactly as it is trained and measured: in 4 bits for QLoRA, frozen bases in the run's precision.

    A folder that holds an adapter brings the base that it was trained on. model.architecture makes a new model,
    whose random weights the seed decides.

    Raises:
        ModelError: when there is none, it cannot be loaded or the tokenizer is not its own.
    """
    from transformers import AutoModelForCausalLM, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()  # of reading and writing weights; downloads from the hub still show theirs
    set_seed(seed)
    if config.architecture is not None:
        return new_model(config.architecture, tokenizer, machine)
    assert config.path is not None, "a rule of the configuration"
    adapter = Path(location(config.path)) / "adapter_config.json"
    if adapter.exists():
        return _with_adapter(config, peft, machine, tokenizer, seed, adapter)
    model, info = _loaded(
        config.path,
        "model",
        lambda path: AutoModelForCausalLM.from_pretrained(
            path,
            revision=config.revision,
            trust_remote_code=config.trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
            dtype=devices.DTYPES[machine.precision] if peft.trains == "adapter" else torch.float32,
            attn_implementation=devices.attention(machine),
            quantization_config=quantization_config(peft, machine),
            device_map=sharding.device_map(machine),
        ),
    )
    if info["missing_keys"]:
        some = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(
            f"model.path={config.path}: {len(info['missing_keys'])} weights are missing, {some} among them; they would "
            "be random numbers. Was the folder copied whole, and is it a causal language model?"
        )
    model.name_or_path = config.path  # what a saved adapter names as its base; embedded:… stays valid anywhere
    keep_4bit_weights_as_trained(model)
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ModelError(
            f"model.path={config.path}: the tokenizer has {len(tokenizer)} tokens and the model knows {rows}. "
            "They do not belong together; set model.tokenizer."
        )
    return model


def check_base(config: ModelConfig) -> None:
    """
    Raises:
        ModelError: when the base to train is an adapter, which could only be measured.
    """
    if config.path is not None and (Path(location(config.path)) / "adapter_config.json").exists():
        raise ModelError(
            f"model.path={config.path} holds an adapter, and training starts from a whole model: merge it into its "
            "base first (PEFT's merge_and_unload), or give the base's path."
        )


def save(model: Any, tokenizer: Any, folder: Path, machine: HardwareConfig) -> None:
    """The adapter, or the model where all weights moved, as safetensors with its tokenizer.

    An adapter over 4-bit weights also says how its base was quantised, which PEFT's own file does not. All processes
    must ask: weights that are parted among them are put together, and the first one writes.
    """
    parted = sharding.shards_weights(machine)
    state = sharding.full_state_dict(model, trained_only=hasattr(model, "peft_config")) if parted else None
    if not processes.is_first():
        return
    model.save_pretrained(str(folder), state_dict=state)
    tokenizer.save_pretrained(str(folder))
    quantised = getattr(model.config, "quantization_config", None)
    if quantised is not None:
        kept = {
            "quantization": quantised.bnb_4bit_quant_type,
            "double_quantization": quantised.bnb_4bit_use_double_quant,
        }
        (folder / BASE_QUANTIZATION).write_text(json.dumps(kept))


def fingerprint(tokenizer: Any) -> str:
    """16 hexadecimal digits over the vocabulary and what the tokenizer makes of a text full of traps."""
    probe = tokenizer("Question: A  café\n1234,5 Ω\nAnswer: B")["input_ids"]
    content = json.dumps([sorted(tokenizer.get_vocab().items()), probe])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _with_adapter(
    config: ModelConfig, peft: PeftConfig, machine: HardwareConfig, tokenizer: Any, seed: int, adapter: Path
) -> Any:
    from dataclasses import replace

    from peft import PeftModel

    path = json.loads(adapter.read_text())["base_model_name_or_path"]
    kept = adapter.with_name(BASE_QUANTIZATION)
    quantised = json.loads(kept.read_text()) if kept.exists() and peft.quantization is None else {}
    as_trained = replace(peft, trains="adapter", **quantised)
    if as_trained.quantization is not None and sharding.shards_weights(machine):
        raise ModelError(
            f"model.path={config.path} holds an adapter over 4-bit weights, which are packed and cannot be parted "
            "among the devices; they are small, so take hardware.strategy=ddp."
        )
    base = load_model(replace(config, path=path), as_trained, machine, tokenizer, seed)
    without_weights = base.device.type == "meta"  # in a process that reads none, whose adapter none can be copied into
    return PeftModel.from_pretrained(base, str(adapter.parent), low_cpu_mem_usage=without_weights)


def _loaded(path: str, what: str, load: Any) -> Any:
    """What `load` returns for the path, or an error that says which of the usual causes it was."""
    from safetensors import SafetensorError

    where = location(path)
    if not Path(where).is_dir():
        hub.go_offline_if_unreachable()
    try:
        return load(where)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        hint = _cause(f"{type(error).__name__} {error}", path)
        raise ModelError(f"model.path={path}: the {what} cannot be loaded: {first_line(error)}{hint}") from error


def _cause(message: str, path: str) -> str:
    lowered = message.lower()
    if "gated" in lowered or "401" in message or "403" in message:
        return f" Accept the licence at https://huggingface.co/{path} and log in with `hf auth login`."
    if "trust_remote_code" in message:
        return " It needs code from the hub; read it first, then set model.trust_remote_code=true."
    if any(word in lowered for word in ("connect", "offline", "resolve", "timed out", "cached files")):
        return f" There is no way to the hub from here. {hub.prefetch_advice()}. Or set model.path=<folder>."
    if "safetensors" in lowered:
        return " Only safetensors are read: weights in pickle files can run code. Convert them first."
    return ""
