"""What a training will hold in the memory of each device, estimated before any weight is read.

Counted exactly: weights, gradients and optimizer state, from the model's architecture, by strategy and number of
devices. Roughly: activations (after Korthikanti et al. 2022, without attention matrices, which no kernel here keeps),
weights gathered for a moment, and what CUDA and the communication take. Measuring takes less than training.
"""

from dataclasses import dataclass
from typing import Any

import torch

from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config, HardwareConfig, ModelConfig, PeftConfig, batching
from mcqa.models import sharding

GIB = 1024**3


CUDA = 1.5 * GIB  # context, kernels and communication buffers of one process


TIGHT = 0.9  # of the memory: above it, fragmentation decides


BLOCK = 64  # weights that share a constant in 4 bits; 256 such constants share one when these are quantised too


BUCKET, LIVE = 5e8, 1e9  # weights that DeepSpeed reduces, and gathers, at a time


@dataclass(frozen=True)
class Shape:
    """Numbers of weights, and sizes that activations depend on.

    linear: weights of the linear layers but the head, which 4 bits are for. adapter: those that LoRA adds.
    """

    weights: int
    linear: int
    adapter: int
    layer: int
    layers: int
    width: int
    inner: int
    vocabulary: int


@dataclass(frozen=True)
class Estimate:
    """Bytes on each device. lasting: of weights, gradients and optimizer state, which no setting of a batch changes."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    gathered: float

    @property
    def lasting(self) -> float:
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> float:
        return self.lasting + self.activations + self.gathered + CUDA


def shape(config: ModelConfig, peft: PeftConfig, vocabulary: int | None = None) -> Shape:
    """Of the model's config.json or architecture; vocabulary: of a tokenizer that is made for the run."""
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():  # of no memory, and no time for random numbers
        model = AutoModelForCausalLM.from_config(
            _architecture(config, vocabulary), trust_remote_code=config.trust_remote_code
        )
    model.tie_weights()
    text, head = model.config.get_text_config(), model.get_output_embeddings()
    linear = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    linear = {name: module for name, module in linear.items() if module is not head}
    total = sum(parameter.numel() for parameter in model.parameters())
    tables = {id(module.weight): module.weight.numel() for module in (model.get_input_embeddings(), head) if module}
    return Shape(
        total,
        sum(module.weight.numel() for module in linear.values()),
        sum(_added(name, module, peft) for name, module in linear.items()) if peft.trains == "adapter" else 0,
        (total - sum(tables.values())) // text.num_hidden_layers,
        text.num_hidden_layers,
        text.hidden_size,
        getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        text.vocab_size,
    )


def _architecture(config: ModelConfig, vocabulary: int | None) -> Any:
    from transformers import AutoConfig

    from mcqa.models.loading import config_of

    if config.architecture is None:
        return config_of(config)
    return AutoConfig.for_model(**config.architecture, vocab_size=vocabulary or config.vocabulary_size)


def _added(name: str, module: torch.nn.Linear, peft: PeftConfig) -> int:
    targets = [peft.target_modules] if isinstance(peft.target_modules, str) else peft.target_modules or []
    chosen = targets == ["all-linear"] or any(name == one or name.endswith(f".{one}") for one in targets)
    return (peft.r or 0) * (module.in_features + module.out_features) if chosen else 0


def estimate(config: Config, model: Shape, tokens: int | None = None) -> Estimate:
    """tokens: of the longest training example; objective.max_length, the most that it can be, unless it is known."""
    machine = config.hardware
    trained = model.adapter or model.weights
    weights, gradients, optimizer = _lasting(config, model, trained)
    devices = machine.devices * machine.nodes
    if machine.strategy == "ddp" and devices > 1:
        gathered = 4.0 * trained  # the buckets in which gradients are averaged
    elif machine.strategy == "zero2":
        gathered = _compute_bytes(machine) * min(trained, BUCKET)
    elif machine.strategy == "zero3":
        gathered = _compute_bytes(machine) * min(model.weights, LIVE)
    elif machine.strategy == "fsdp2":
        gathered = _compute_bytes(machine) * (model.weights - model.layers * model.layer + 3 * model.layer)
    else:
        gathered = 0.0
    return Estimate(weights, gradients, optimizer, _activations(config, model, tokens), gathered)


def _lasting(config: Config, model: Shape, trained: int) -> tuple[float, float, float]:
    """Weights, gradients and optimizer state on each device."""
    machine, share = config.hardware, 1 / (config.hardware.devices * config.hardware.nodes)
    deepspeed, parted = machine.strategy.startswith("zero"), sharding.shards_weights(machine)
    states = 2.0 if config.optimizer.name == "adamw_8bit" else 8.0
    of_trained = _compute_bytes(machine) if deepspeed else 4.0
    masters = 4.0 if deepspeed else 0.0  # DeepSpeed trains copies in single precision
    weights = of_trained * trained + (_frozen(config, model) if model.adapter else 0.0)
    gradients, optimizer = 4.0 * trained, (states + masters) * trained
    if machine.strategy != "ddp":
        gradients, optimizer = gradients * share, optimizer * share
    if parted:
        weights *= share
    if machine.cpu_offload:
        optimizer = 0.0
        weights = 0.0 if parted else weights
        gradients = 0.0 if machine.strategy == "fsdp2" else gradients
    return weights, gradients, optimizer


def _frozen(config: Config, model: Shape) -> float:
    each = _compute_bytes(config.hardware)
    if config.peft.quantization is None:
        return each * model.weights
    constants = (1 + 4 / 256) / BLOCK if config.peft.double_quantization else 4 / BLOCK
    return (0.5 + constants) * model.linear + each * (model.weights - model.linear)


def _compute_bytes(machine: HardwareConfig) -> float:
    return 4.0 if machine.precision == "fp32" else 2.0


def _activations(config: Config, model: Shape, tokens: int | None) -> float:
    """A layer keeps about ten values as wide as the model for every token and four as wide as its inner layer.

    With gradient checkpointing one value stays for each layer, and one layer at a time is computed again.
    """
    positions = batching(config).micro_batch_size * (tokens or config.objective.max_length)
    layer = 10 * model.width + 4 * model.inner
    checkpointing = config.hardware.gradient_checkpointing
    kept = model.layers * model.width + layer if checkpointing else model.layers * layer
    logits = 2 * 4.0 * min(positions, 1024) * model.vocabulary  # made and differentiated a part at a time
    return _compute_bytes(config.hardware) * positions * kept + logits


# --- is it enough -----------------------------------------------------------------------------------------------------


def available(machine: HardwareConfig) -> float | None:
    """Bytes of one GPU: as configured, or as torch finds it; None where there is none to ask."""
    if machine.memory_gb is not None:
        return float(machine.memory_gb * GIB)
    if machine.device == "cuda" and torch.cuda.is_available():
        return float(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return None


def check(config: Config, found: Estimate) -> None:
    """
    Raises:
        ConfigError: when weights, gradients and optimizer state alone are more than a GPU has.
    """
    memory = available(config.hardware)
    if memory is not None and found.lasting > memory:
        raise ConfigError(
            f"model={config.model.name} cannot be trained so: weights, gradients and optimizer state alone are "
            f"{found.lasting / GIB:.0f} GB on each GPU of {memory / GIB:.0f} GB. {_advice(config)}"
        )


def described(config: Config, found: Estimate) -> str:
    """The parts and their sum, and whether the sum fits."""
    machine = config.hardware
    parts = {
        "weights": found.weights,
        "gradients": found.gradients,
        "optimizer state": found.optimizer,
        "activations": found.activations,
        "gathered and exchanged": found.gathered,
        "CUDA": CUDA if machine.device == "cuda" else 0.0,
    }
    listed = " + ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items() if size >= 0.05 * GIB)
    whole = found.total if machine.device == "cuda" else found.total - CUDA
    number = machine.devices * machine.nodes
    where = "this device" if number == 1 else f"each of {number} devices"
    told = f"Memory of {where}: about {whole / GIB:.1f} GB" + (f" = {listed}." if listed else ".")
    memory = available(machine)
    if memory is None:
        return told
    if whole > memory:
        return f"{told} More than its {memory / GIB:.0f} GB: it will not fit. {_advice(config)}"
    return f"{told} {'Tight in' if whole > TIGHT * memory else 'Fits'} {memory / GIB:.0f} GB."


def _advice(config: Config) -> str:
    machine, ways = config.hardware, []
    if not sharding.shards_weights(machine) and config.peft.quantization is None:
        ways.append("hardware.strategy=zero3 or fsdp2 over several devices")
    ways.append("more hardware.devices or hardware.nodes")
    if machine.strategy != "ddp" and not machine.cpu_offload:
        ways.append("hardware.cpu_offload=true")
    if config.peft.quantization is None:
        ways.append("peft=qlora" if config.peft.trains == "adapter" else "peft=lora or qlora")
    if not machine.gradient_checkpointing:
        ways.append("hardware.gradient_checkpointing=true")
    return f"What would help: {', '.join(ways)}."
