"""Estimate what a training will hold in the memory of each device, before any weight is read.

Exact are weights, gradients and optimizer state, from the model's architecture, the strategy and the number of devices.
Approximate are activations (after Korthikanti et al. 2022, arXiv:2205.05198, without attention matrices, which no
kernel here stores), buffers of gathered weights and reduced gradients, and what CUDA and the communication take.
Evaluation takes less than training.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch

from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config, HardwareConfig, ModelConfig, PeftConfig, batching
from mcqa.models import adapters, loading, sharding
from mcqa.runs import processes

GIB = 1024**3
CUDA = 1.5 * GIB  # context, kernels and communication buffers of one process
TIGHT = 0.9  # of the memory: above it, fragmentation decides
BLOCK = 64  # weights that share a constant in 4 bits; 256 such constants share one with double quantisation
MOMENTS = {
    "adamw": 8.0,
    "adamw_8bit": 2.0,
    "paged_adamw_8bit": 0.0,  # in the CPU's memory, where the GPU's is full
    "adafactor": 0.0,  # a row and a column for each matrix
    "lion": 4.0,
    "lion_8bit": 1.0,
    "muon": 4.0,
    "sgd": 4.0,
}
"""What optimizers keep of the gradients of earlier updates, in bytes per parameter."""

REDUCE_BUCKET, MAX_LIVE = 5e8, 1e9  # parameters that DeepSpeed reduces, and gathers, at a time (its defaults)


@dataclass(frozen=True)
class ModelSize:
    """Numbers of parameters, and the dimensions that activations depend on."""

    parameters: int
    linear: int  # parameters of the linear layers without the head: those that 4 bits apply to
    adapter: int  # parameters that are trained beside the frozen ones
    layer: int  # parameters of one layer
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int


@dataclass(frozen=True)
class Estimate:
    """Bytes on each device. model_states: weights, gradients and optimizer state, which do not depend on the batch."""

    parts: dict[str, float]
    model_states: float

    @property
    def total(self) -> float:
        return sum(self.parts.values())


def model_size(config: ModelConfig, peft: PeftConfig, vocabulary: int | None = None) -> ModelSize:
    """Return the size of the model from its config.json or model.architecture, without reading weights.

    vocabulary: of a tokenizer that is trained for the run; else it is taken from the configuration.
    """
    model = loading.meta_model(config, vocabulary)
    text, head = model.config.get_text_config(), model.get_output_embeddings()
    modules = {name: module for name, module in model.named_modules() if name}
    linear = [module for module in modules.values() if isinstance(module, torch.nn.Linear) and module is not head]
    total = sum(parameter.numel() for parameter in model.parameters())
    tables = {id(module.weight): module.weight.numel() for module in (model.get_input_embeddings(), head) if module}
    return ModelSize(
        parameters=total,
        linear=sum(module.weight.numel() for module in linear),
        adapter=0 if peft.rank is None else _adapter_parameters(modules, head, peft, peft.rank),
        layer=(total - sum(tables.values())) // text.num_hidden_layers,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary=text.vocab_size,
    )


def _adapter_parameters(modules: adapters.Modules, head: Any, peft: PeftConfig, rank: int) -> int:
    """Parameters that are trained: two matrices for each layer, with DoRA a vector too, and modules trained whole."""
    whole = peft.modules_to_save or ()
    shapes = [modules[name].weight.shape for name in adapters.targeted(modules, head, peft.target_modules, whole)]
    trained = {
        id(weight): weight for name in adapters.saved_whole(modules, whole) for weight in modules[name].parameters()
    }
    lora = sum(rank * sum(shape) + (shape[0] if peft.dora else 0) for shape in shapes)
    return int(lora + sum(weight.numel() for weight in trained.values()))


def estimate(config: Config, model: ModelSize, tokens: int | None = None) -> Estimate:
    """Return the estimate; tokens: length of the longest training example, objective.max_length if it is not known."""
    hardware = config.hardware
    trained = model.adapter or model.parameters
    compute = _compute_bytes(hardware)
    buffers = {
        "ddp": 4.0 * trained if batching(config).processes > 1 else 0.0,  # buckets that average gradients
        "zero2": compute * min(trained, REDUCE_BUCKET),
        "zero3": compute * min(model.parameters, MAX_LIVE),
        # Embeddings and head stay gathered, and about three layers at a time are gathered or reduced.
        "fsdp2": compute * (model.parameters - model.layers * model.layer + 3 * model.layer),
    }
    states = _model_states(config, model, trained)
    others = {
        "activations": _activations(config, model, tokens),
        "communication buffers": buffers[hardware.strategy],
        "CUDA": CUDA if hardware.device == "cuda" else 0.0,
    }
    return Estimate(states | others, sum(states.values()))


def _model_states(config: Config, model: ModelSize, trained: int) -> dict[str, float]:
    hardware, share = config.hardware, 1 / batching(config).processes
    deepspeed, sharded = hardware.strategy.startswith("zero"), sharding.shards_weights(hardware)
    moments = MOMENTS[config.optimizer.name]
    if config.optimizer.name == "muon" and not model.adapter:
        moments += 4.0 * (1 - model.layers * model.layer / model.parameters)  # AdamW's second one, of the tables
    # DeepSpeed computes with weights in the run's precision and keeps a copy in single precision with the optimizer.
    weight_bytes, copy_bytes = (_compute_bytes(hardware), 4.0) if deepspeed else (4.0, 0.0)
    weights = weight_bytes * trained + (_frozen_bytes(config, model) if model.adapter else 0.0)
    if config.objective.prefers and not model.adapter:
        weights += 4.0 * trained  # the frozen copy that answers are compared with
    gradients, optimizer = 4.0 * trained, (moments + copy_bytes) * trained
    if hardware.strategy != "ddp":
        gradients, optimizer = gradients * share, optimizer * share
    if sharded:
        weights = 0.0 if hardware.cpu_offload else weights * share
    if hardware.cpu_offload:
        optimizer = 0.0
        gradients = 0.0 if hardware.strategy == "fsdp2" else gradients
    return {"weights": weights, "gradients": gradients, "optimizer state": optimizer}


def _frozen_bytes(config: Config, model: ModelSize) -> float:
    """Bytes of the base under an adapter."""
    compute = _compute_bytes(config.hardware)
    if config.peft.quantization is None:
        return compute * model.parameters
    constants = (1 + 4 / 256) / BLOCK if config.peft.double_quantization else 4 / BLOCK
    return (0.5 + constants) * model.linear + compute * (model.parameters - model.linear)


def _compute_bytes(hardware: HardwareConfig) -> float:
    return 4.0 if hardware.precision == "fp32" else 2.0


def _activations(config: Config, model: ModelSize, tokens: int | None) -> float:
    """Bytes of activations: a layer stores about ten hidden and four intermediate vectors for every token.

    With gradient checkpointing one hidden vector is stored for each layer, and one layer at a time is recomputed.
    """
    rows = 2 if config.objective.prefers else 1
    positions = rows * batching(config).most * (tokens or config.objective.max_length)
    layer = 10 * model.hidden + 4 * model.intermediate
    checkpointing = config.hardware.gradient_checkpointing is not False  # auto: where memory is short
    stored = model.layers * model.hidden + layer if checkpointing else model.layers * layer
    logits = 2 * 4.0 * min(positions, 1024) * model.vocabulary  # with their gradient, in chunks of 1024 tokens
    return _compute_bytes(config.hardware) * positions * stored + logits


# --- whether it fits --------------------------------------------------------------------------------------------------


def available_bytes(hardware: HardwareConfig) -> float | None:
    """Return the memory of one GPU in bytes: hardware.memory_gb, or what torch reports; None if there is no GPU."""
    if hardware.memory_gb is not None:
        return float(hardware.memory_gb * GIB)
    if hardware.device == "cuda" and torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return None


def decide_checkpointing(config: Config, tokens: int, vocabulary: int | None = None) -> Config:
    """Return the configuration with true or false in place of hardware.gradient_checkpointing=auto.

    It is true on a GPU that would be fuller than TIGHT without, or whose memory is not known. All processes of a run
    must call this. tokens: length of the longest training example. vocabulary: as for model_size.
    """
    if config.hardware.gradient_checkpointing != "auto":
        return config
    without = replace(config, hardware=replace(config.hardware, gradient_checkpointing=False))
    if config.hardware.device == "cpu":
        return without
    memory = processes.min_over_ranks(int(available_bytes(config.hardware) or 0))
    needed = estimate(without, model_size(config.model, config.peft, vocabulary), tokens).total
    return replace(without, hardware=replace(without.hardware, gradient_checkpointing=needed > TIGHT * memory))


def check(config: Config, estimated: Estimate) -> None:
    """Refuse what cannot fit for certain.

    Raises:
        ConfigError: weights, gradients and optimizer state alone are more than a GPU has.
    """
    memory = available_bytes(config.hardware)
    if memory is not None and estimated.model_states > memory:
        raise ConfigError(
            f"model={config.model.name} cannot be trained like this: weights, gradients and optimizer state alone are "
            f"{estimated.model_states / GIB:.0f} GB on each GPU of {memory / GIB:.0f} GB. {_advice(config)}"
        )


def describe(config: Config, estimated: Estimate) -> str:
    """Return a sentence with the parts, their sum in GiB, and whether it fits."""
    listed = " + ".join(f"{name} {size / GIB:.1f}" for name, size in estimated.parts.items() if size >= 0.05 * GIB)
    total, devices = estimated.total, batching(config).processes
    where = "this device" if devices == 1 else f"each of {devices} devices"
    text = f"Memory of {where}: about {total / GIB:.1f} GB" + (f" = {listed}." if listed else ".")
    memory = available_bytes(config.hardware)
    if memory is None:
        return text
    if total > memory:
        return f"{text} More than its {memory / GIB:.0f} GB: it will not fit. {_advice(config)}"
    return f"{text} {'Tight in' if total > TIGHT * memory else 'Fits'} {memory / GIB:.0f} GB."


def _advice(config: Config) -> str:
    hardware, peft = config.hardware, config.peft
    unsharded = not sharding.shards_weights(hardware)
    options = {
        "hardware.strategy=zero3 or fsdp2 over several devices": unsharded and peft.quantization is None,
        "more hardware.devices or hardware.nodes": True,
        "hardware.cpu_offload=true": hardware.strategy != "ddp" and not hardware.cpu_offload,
        "peft=lora or qlora": peft.trainable == "full",
        "peft=qlora": peft.trainable == "adapter" and peft.quantization is None,
        "hardware.gradient_checkpointing=true": hardware.gradient_checkpointing is False,
    }
    return f"What would help: {', '.join(option for option, helps in options.items() if helps)}."
