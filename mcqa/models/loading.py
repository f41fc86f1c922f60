"""Load base model, tokenizer and LoRA adapter, with the 4-bit weights under it, and save them."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from mcqa.config.errors import McqaError, ModelError
from mcqa.config.schema import HardwareConfig, ModelConfig, PeftConfig
from mcqa.data import hub
from mcqa.models import devices, model_files, sharding
from mcqa.models.from_scratch import new_model, new_tokenizer
from mcqa.models.model_files import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_QUANTIZATION,
    check_files,
    location,
)
from mcqa.runs import processes

log = logging.getLogger(__name__)

Part = Literal["tokenizer", "configuration", "model", "adapter"]


def load_tokenizer(config: ModelConfig, texts: Sequence[str]) -> Any:
    """Return the tokenizer of the model, with a padding token (which never reaches a loss or a score).

    A model with random weights gets a new one, trained on the texts.

    Raises:
        ModelError: it does not exist or cannot be loaded, or the model beside it has damaged files.
    """
    from transformers import AutoTokenizer

    if config.vocabulary_size is not None:
        return new_tokenizer(config.vocabulary_size, texts)
    tokenizer = _from_pretrained(AutoTokenizer, config, "tokenizer")
    with _explained(*_key_and_path(config, "tokenizer"), "tokenizer"):
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer("A word.")  # some values of its files are first read here
    return tokenizer


def transformers_config(config: ModelConfig) -> Any:
    """Return the model's transformers configuration (config.json), without reading its weights.

    Raises:
        ModelError: it does not exist or cannot be loaded.
    """
    from transformers import AutoConfig

    return _from_pretrained(AutoConfig, config, "configuration")


def meta_model(config: ModelConfig, vocabulary: int | None = None) -> Any:
    """Return the model of config.json or model.architecture without weights: on the meta device, in no time.

    vocabulary: of a tokenizer that is trained for the run; else it is taken from the configuration.

    Raises:
        ModelError: there is no such model.
    """
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    if config.architecture is None:
        shape = transformers_config(config)
    else:
        shape = AutoConfig.for_model(**config.architecture, vocab_size=vocabulary or config.vocabulary_size)
    with torch.device("meta"), no_init_weights():  # takes neither memory nor time for random numbers
        model: Any = AutoModelForCausalLM.from_config(shape, trust_remote_code=config.trust_remote_code)
    model.tie_weights()
    return model


def load_model(config: ModelConfig, peft: PeftConfig, hardware: HardwareConfig, tokenizer: Any, seed: int) -> Any:
    """Return the base model exactly as it is trained and measured.

    With QLoRA its weights are in 4 bits; other frozen bases are in the run's precision, weights to train in single
    precision. For a folder with an adapter, the base that it was trained on is loaded under it. With peft.path the
    adapter saved there lies on the base, ready to be trained. For model.architecture, a new model is made with random
    weights that depend on the seed.

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
    folder = Path(location(config.path))
    if model_files.holds_adapter(folder):
        return _with_adapter(config, peft, hardware, tokenizer, seed, folder)
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
        ignore_mismatched_sizes=True,  # which are reported below
    )
    if mismatched := sorted(info["mismatched_keys"]):
        name, saved, expected = mismatched[0]
        raise ModelError(
            f"model.path={config.path}: {len(mismatched)} weights have another shape than its config.json says: {name} "
            f"has {list(saved)} instead of {list(expected)}. They do not belong together; copy both from one place."
        )
    if unused := sorted(info["unexpected_keys"]):
        log.warning(
            f"model.path={config.path}: {len(unused)} weights in its files are not used, {unused[0]} among them, for "
            "the model has no place for them. Is config.json its own?"
        )
    if info["missing_keys"]:
        some = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(
            f"model.path={config.path}: {len(info['missing_keys'])} weights are missing, {some} among them; they would "
            "be random numbers. Was the folder copied whole, and is it a causal language model?"
        )
    _check_finite(model, config.path)
    model.name_or_path = config.path  # a saved adapter names this as its base; embedded:… is valid on any machine
    keep_4bit_weights_as_trained(model)
    known = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > known:
        raise ModelError(
            f"model.path={config.path}: the tokenizer has {len(tokenizer)} tokens and the model knows {known}. "
            "They do not belong together; set model.tokenizer."
        )
    return model if peft.path is None else _put_on(model, "peft.path", peft.path, train_with=peft)


def check_base(config: ModelConfig) -> None:
    """Check that the base can be trained.

    Raises:
        ModelError: it is an adapter, which peft.path trains further.
    """
    if config.path is not None and model_files.holds_adapter(folder := Path(location(config.path))):
        base = model_files.base_of_adapter(folder) or "<its base>"
        raise ModelError(
            f"model.path={config.path} holds an adapter, and training starts from a whole model. To go on with the "
            f"adapter, give peft.path={config.path} and its base {base} as the model (model=local model.path={base}, "
            "or its option); to train on top of it, merge it into its base first (PEFT's merge_and_unload)."
        )


def check_adapter_files(path: str) -> None:
    """Check that peft.path is a folder with a whole adapter.

    Raises:
        ModelError: it is not there, holds something else, or has files that are damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ModelError(f"peft.path={path}: there is no such folder here.")
    if not model_files.holds_adapter(folder):
        raise ModelError(
            f"peft.path={path}: holds no adapter ({ADAPTER_CONFIG}); a run saves its own in <folder>/model."
        )
    check_files(folder, "peft.path", path)


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
    """Return PEFT's configuration of a new adapter to train; None if all weights are trained, or a saved adapter is."""
    if peft.trainable == "full" or peft.path is not None:
        return None
    warnings.filterwarnings("ignore", "You have requested `ensure_weight_tying`, but no tied modules")
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=peft.rank,
        lora_alpha=peft.alpha,
        lora_dropout=peft.dropout,
        target_modules=peft.target_modules,
        modules_to_save=peft.modules_to_save,
        ensure_weight_tying=bool(peft.modules_to_save),  # embeddings and head stay one matrix where they are one
        use_dora=peft.dora,
        use_rslora=peft.rslora,
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


def load_merged(config: ModelConfig, peft: PeftConfig, hardware: HardwareConfig, tokenizer: Any, seed: int) -> Any:
    """Return the whole model that a saved adapter makes of its base, without the adapter.

    A base in 4 bits is unpacked first: the values that were computed with are kept, and are not rounded again.

    Raises:
        ModelError: one of them does not exist or cannot be loaded.
    """
    assert config.path is not None, "the folder of an adapter"
    folder = Path(location(config.path))
    base = _base_of_adapter(config, peft, hardware, tokenizer, seed, folder)
    if getattr(base, "quantization_method", None) is not None:
        base = base.dequantize()
    return _put_on(base, "model.path", str(folder)).merge_and_unload()


def _with_adapter(
    config: ModelConfig, peft: PeftConfig, hardware: HardwareConfig, tokenizer: Any, seed: int, folder: Path
) -> Any:
    base = _base_of_adapter(config, peft, hardware, tokenizer, seed, folder)
    return _put_on(base, "model.path", str(folder))


def _base_of_adapter(
    config: ModelConfig, peft: PeftConfig, hardware: HardwareConfig, tokenizer: Any, seed: int, folder: Path
) -> Any:
    """Return the base that the adapter in `folder` was trained on, as it was then."""
    assert config.path is not None, "it is the folder"
    check_files(folder, "model.path", config.path)
    saved = model_files.read_object(folder / ADAPTER_CONFIG)
    path = model_files.base_of_adapter(folder)
    kept = folder / BASE_QUANTIZATION
    quantized = model_files.read_object(kept) if kept.exists() and peft.quantization is None else {}
    with _explained("model.path", config.path, "adapter"):
        if not isinstance(path, str):
            raise ValueError(f"{ADAPTER_CONFIG} does not say which base it belongs to (base_model_name_or_path).")
        as_trained = replace(peft, trainable="adapter", path=None, **quantized)
        quantization_config(as_trained, hardware)  # which checks the types of its values
    location(path, f"{folder / ADAPTER_CONFIG}: base_model_name_or_path")
    if as_trained.quantization is not None and sharding.shards_weights(hardware):
        raise ModelError(
            f"model.path={config.path} holds an adapter over 4-bit weights, which are packed and cannot be sharded "
            "over devices; they are small, so take hardware.strategy=ddp."
        )
    if saved.get("modules_to_save") and sharding.shards_weights(hardware):
        raise ModelError(
            f"model.path={config.path} holds an adapter with modules that were trained whole, which FSDP cannot shard "
            "over devices; take hardware.strategy=ddp."
        )
    return load_model(replace(config, path=path), as_trained, hardware, tokenizer, seed)


def _put_on(base: Any, key: str, path: str, train_with: PeftConfig | None = None) -> Any:
    """Return the base with the adapter saved at this path. train_with: it will be trained, with this dropout."""
    from peft import LoraConfig, PeftModel

    folder = Path(path).expanduser()
    on_meta = base.device.type == "meta"  # in processes that read no weights; nothing can be copied into theirs
    with _explained(key, path, "adapter"):
        options: dict[str, Any] = {}
        if train_with is not None:
            options = {"is_trainable": True, "config": LoraConfig.from_pretrained(str(folder))}
            options["config"].lora_dropout = train_with.dropout
        model = PeftModel.from_pretrained(base, str(folder), low_cpu_mem_usage=on_meta, **options)
        _check_adapter_names(model, folder / ADAPTER_WEIGHTS)
        if not on_meta:
            _in_saved_precision(model, folder)
    _check_finite(model, path, key)
    return model


def _in_saved_precision(model: Any, folder: Path) -> None:
    """PEFT reads the modules that were trained whole into copies of those of the base, whose precision may be lower."""
    from peft import load_peft_weights, set_peft_model_state_dict

    rounded = [
        weight
        for name, weight in model.named_parameters()
        if ".modules_to_save." in name and weight.dtype in (torch.bfloat16, torch.float16)
    ]
    for weight in rounded:
        weight.data = weight.data.float()
    if rounded:
        set_peft_model_state_dict(model, load_peft_weights(str(folder), device="cpu"))


def _check_adapter_names(model: Any, weights: Path) -> None:
    """PEFT leaves an adapter without weights as it is at the beginning of a training, and weights without a place out.

    Raises:
        ValueError: some weights of the adapter and of the file are not the same.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(weights, framework="numpy") as file:
        saved = set(file.keys())
    needed = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    if odd := sorted((needed - saved) | {name for name in saved - needed if "lora_" in name}):
        raise ValueError(
            f"{ADAPTER_CONFIG} and {weights.name} do not fit together or not the base: {len(odd)} weights have no "
            f"counterpart, {odd[0]} among them."
        )


# --- transformers ----------------------------------------------------------------------------------------------------


def _from_pretrained(auto_class: Any, config: ModelConfig, part: Part, **options: Any) -> Any:
    """Load a part of the model with transformers."""
    key, path = _key_and_path(config, part)
    where = location(path, key)
    if Path(where).is_dir():
        check_files(Path(where), key, path)
    else:
        hub.go_offline_if_unreachable()
    with _explained(key, path, part):
        return auto_class.from_pretrained(
            where, revision=config.revision, trust_remote_code=config.trust_remote_code, **options
        )


def _key_and_path(config: ModelConfig, part: Part) -> tuple[str, str]:
    """Return where a part is loaded from, and the key that says so."""
    if part == "tokenizer" and config.tokenizer is not None:
        return "model.tokenizer", config.tokenizer
    assert config.path is not None, "a rule of the configuration"
    return "model.path", config.path


@contextmanager
def _explained(key: str, path: str, part: Part) -> Iterator[None]:
    """Turn whatever transformers, PEFT and what they use raise in the block into ModelError with the usual cause."""
    try:
        yield
    except McqaError:
        raise
    except Exception as error:
        cause = f"{_reason(error, path)} {_advice(error, path, part)}".strip()
        raise ModelError(f"{key}={path}: the {part} cannot be loaded: {cause}") from error


def _check_finite(model: Any, path: str, key: str = "model.path") -> None:
    """
    Raises:
        ModelError: a weight is not a number or infinite, so that no score would be a number.
    """
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and not weight.is_meta and not weight.sum(dtype=torch.float32).isfinite():
            raise ModelError(
                f"{key}={path}: the weight {name} has values that are infinite or not a number, so no score would "
                "be one. The training that saved it diverged (its loss says when), or the file is damaged."
            )


def _reason(error: Exception, path: str) -> str:
    """The hub's libraries say in the first line what is wrong; others say it anywhere, or only by the error's name."""
    if hub.is_hub_id(path):
        return hub.first_line(error)
    text = " ".join(str(error).split())[:300].rstrip(".")
    return f"{text}." if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}."


def _advice(error: Exception, path: str, part: Part) -> str:
    message = f"{type(error).__name__} {error}".lower()
    if advice := hub.login_advice(error, path):
        return advice
    if "trust_remote_code" in message:
        return "It needs code from the hub; read it first, then set model.trust_remote_code=true."
    if any(word in message for word in ("connect", "offline", "resolve", "timed out", "cached files")):
        return f"This machine cannot reach the hub. {hub.prefetch_advice()}. Or set model.path=<folder>."
    if "safetensors" in message and hub.is_hub_id(path):
        return "Only safetensors are read: weights in pickle files can run code. Convert them first."
    if not hub.is_hub_id(path):
        if part == "tokenizer" and not (Path(location(path)) / "tokenizer.json").exists():
            return f"{path}/tokenizer.json is missing: copy it from where the folder came from, or set model.tokenizer."
        return (
            f"The files of {path} can be read, so a value in one of its JSON files is likely wrong, or they do not "
            "belong together: copy the folder again from where it came from, or train it again."
        )
    return ""
