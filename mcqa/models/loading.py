"""Load base model, tokenizer and LoRA adapter, with the 4-bit weights under it, and save them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from mcqa.config.errors import ModelError
from mcqa.config.schema import HardwareConfig, ModelConfig, PeftConfig
from mcqa.data import hub
from mcqa.models import devices, sharding
from mcqa.models.from_scratch import new_model, new_tokenizer
from mcqa.runs import processes

EMBEDDED = "embedded:"
ASSETS = Path(__file__).with_name("assets")

BASE_QUANTIZATION = "base_quantization.json"
"""The file beside an adapter that says how its base was quantised."""


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


def load_tokenizer(config: ModelConfig, texts: Sequence[str]) -> Any:
    """Return the tokenizer of the model, with a padding token (which never reaches a loss or a score).

    A model with random weights gets a new one, trained on the texts.

    Raises:
        ModelError: it does not exist or cannot be loaded.
    """
    from transformers import AutoTokenizer

    if config.vocabulary_size is not None:
        return new_tokenizer(config.vocabulary_size, texts)
    tokenizer = _from_pretrained(AutoTokenizer, config, "tokenizer")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def transformers_config(config: ModelConfig) -> Any:
    """Return the model's transformers configuration (config.json), without reading its weights.

    Raises:
        ModelError: it does not exist or cannot be loaded.
    """
    from transformers import AutoConfig

    return _from_pretrained(AutoConfig, config, "configuration")


def load_model(config: ModelConfig, peft: PeftConfig, hardware: HardwareConfig, tokenizer: Any, seed: int) -> Any:
    """Return the base model exactly as it is trained and measured.

    With QLoRA its weights are in 4 bits; other frozen bases are in the run's precision, weights to train in single
    precision. For a folder with an adapter, the base that it was trained on is loaded under it. For
    model.architecture, a new model is made with random weights that depend on the seed.

    Raises:
        ModelError: it does not exist, cannot be loaded, or does not match the tokenizer.
    """
    from transformers import AutoModelForCausalLM, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()  # for reading and writing weights; downloads still show theirs
    set_seed(seed)
    if config.architecture is not None:
        return new_model(config.architecture, tokenizer, hardware)
    assert config.path is not None, "a rule of the configuration"
    adapter = Path(location(config.path)) / "adapter_config.json"
    if adapter.exists():
        return _with_adapter(config, peft, hardware, tokenizer, seed, adapter)
    model, info = _from_pretrained(
        AutoModelForCausalLM,
        config,
        "model",
        use_safetensors=True,
        output_loading_info=True,
        dtype=devices.DTYPES[hardware.precision] if peft.trainable == "adapter" else torch.float32,
        attn_implementation=devices.attention(hardware),
        quantization_config=quantization_config(peft, hardware),
        device_map=sharding.device_map(hardware),
    )
    if info["missing_keys"]:
        some = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(
            f"model.path={config.path}: {len(info['missing_keys'])} weights are missing, {some} among them; they would "
            "be random numbers. Was the folder copied whole, and is it a causal language model?"
        )
    model.name_or_path = config.path  # a saved adapter names this as its base; embedded:… is valid on any machine
    keep_4bit_weights_as_trained(model)
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise ModelError(
            f"model.path={config.path}: the tokenizer has {len(tokenizer)} tokens and the model knows {known}. "
            "They do not belong together; set model.tokenizer."
        )
    return model


def check_base(config: ModelConfig) -> None:
    """Check that the base can be trained.

    Raises:
        ModelError: it is an adapter, which can only be measured.
    """
    if config.path is not None and (Path(location(config.path)) / "adapter_config.json").exists():
        raise ModelError(
            f"model.path={config.path} holds an adapter, and training starts from a whole model: merge it into its "
            "base first (PEFT's merge_and_unload), or give the base's path."
        )


def save(model: Any, tokenizer: Any, folder: Path, hardware: HardwareConfig) -> None:
    """Save the adapter, or the whole model if all weights were trained, as safetensors with its tokenizer.

    All processes must call this: sharded weights are gathered from them, and rank 0 writes.
    """
    sharded = sharding.shards_weights(hardware)
    state = sharding.full_state_dict(model, trained_only=hasattr(model, "peft_config")) if sharded else None
    if not processes.is_first():
        return
    model.save_pretrained(str(folder), state_dict=state)
    tokenizer.save_pretrained(str(folder))
    if (base := getattr(model.config, "quantization_config", None)) is not None:  # which PEFT does not save
        kept = {"quantization": base.bnb_4bit_quant_type, "double_quantization": base.bnb_4bit_use_double_quant}
        (folder / BASE_QUANTIZATION).write_text(json.dumps(kept))


def fingerprint(tokenizer: Any) -> str:
    """Return 16 hexadecimal digits of a hash over the vocabulary and the tokens of a text with special cases."""
    probe = tokenizer("Question: A  café\n1234,5 Ω\nAnswer: B")["input_ids"]  # spaces, accents, digits, symbols
    content = json.dumps([sorted(tokenizer.get_vocab().items()), probe])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


# --- adapters --------------------------------------------------------------------------------------------------------


def adapter_config(peft: PeftConfig) -> Any:
    """Return PEFT's configuration of the adapter to train, or None if all weights are trained."""
    if peft.trainable == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=peft.rank,
        lora_alpha=peft.alpha,
        lora_dropout=peft.dropout,
        target_modules=peft.target_modules,
    )


def quantization_config(peft: PeftConfig, hardware: HardwareConfig) -> Any:
    """Return transformers' configuration of the 4-bit base, or None if the base is not quantised."""
    if peft.quantization is None:
        return None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=peft.quantization,
        bnb_4bit_use_double_quant=peft.double_quantization,
        bnb_4bit_compute_dtype=devices.DTYPES[hardware.precision],
    )


def keep_4bit_weights_as_trained(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    It does so at the first forward pass in eval mode, and every training step after it has wrong gradients (seen with
    0.50). A base is measured before it is trained, so both happen in one process.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _with_adapter(
    config: ModelConfig, peft: PeftConfig, hardware: HardwareConfig, tokenizer: Any, seed: int, adapter: Path
) -> Any:
    from peft import PeftModel

    path = json.loads(adapter.read_text())["base_model_name_or_path"]
    kept = adapter.with_name(BASE_QUANTIZATION)
    quantized = json.loads(kept.read_text()) if kept.exists() and peft.quantization is None else {}
    as_trained = replace(peft, trainable="adapter", **quantized)
    if as_trained.quantization is not None and sharding.shards_weights(hardware):
        raise ModelError(
            f"model.path={config.path} holds an adapter over 4-bit weights, which are packed and cannot be sharded "
            "over devices; they are small, so take hardware.strategy=ddp."
        )
    base = load_model(replace(config, path=path), as_trained, hardware, tokenizer, seed)
    on_meta = base.device.type == "meta"  # in processes that read no weights; nothing can be copied into theirs
    return PeftModel.from_pretrained(base, str(adapter.parent), low_cpu_mem_usage=on_meta)


# --- transformers ----------------------------------------------------------------------------------------------------


def _from_pretrained(
    auto_class: Any, config: ModelConfig, part: Literal["tokenizer", "configuration", "model"], **options: Any
) -> Any:
    """Load a part of the model with transformers; an error names the usual cause."""
    from safetensors import SafetensorError

    key, path = "model.path", config.path
    if part == "tokenizer" and config.tokenizer is not None:
        key, path = "model.tokenizer", config.tokenizer
    assert path is not None, "a rule of the configuration"
    where = location(path, key)
    if not Path(where).is_dir():
        hub.go_offline_if_unreachable()
    try:
        return auto_class.from_pretrained(
            where, revision=config.revision, trust_remote_code=config.trust_remote_code, **options
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        advice = f"{hub.first_line(error)} {_advice(error, path)}".strip()
        raise ModelError(f"{key}={path}: the {part} cannot be loaded: {advice}") from error


def _advice(error: Exception, path: str) -> str:
    message = f"{type(error).__name__} {error}".lower()
    if advice := hub.login_advice(error, path):
        return advice
    if "trust_remote_code" in message:
        return "It needs code from the hub; read it first, then set model.trust_remote_code=true."
    if any(word in message for word in ("connect", "offline", "resolve", "timed out", "cached files")):
        return f"This machine cannot reach the hub. {hub.prefetch_advice()}. Or set model.path=<folder>."
    if "safetensors" in message:
        return "Only safetensors are read: weights in pickle files can run code. Convert them first."
    return ""
