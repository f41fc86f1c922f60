"""Sharding of weights, gradients and optimizer state over devices: hardware.strategy as settings of the libraries.

ddp: a full copy on each device. zero2 (DeepSpeed): gradients and optimizer state sharded. zero3 (DeepSpeed) and fsdp2
(PyTorch): weights sharded too, and gathered layer by layer when a forward or backward pass needs them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from mcqa.config.schema import Config, HardwareConfig
from mcqa.models import devices
from mcqa.runs import processes


def shards_weights(hardware: HardwareConfig) -> bool:
    """Whether each device holds only a part of the weights; they are sharded when training starts, not when loaded."""
    return hardware.strategy in ("zero3", "fsdp2")


def device_map(hardware: HardwareConfig) -> dict[str, Any] | None:
    """Return the device_map of from_pretrained; None means the CPU, or wherever DeepSpeed puts weights.

    With FSDP only the first process of each node reads weights; the others have them on the meta device until rank 0
    sends them their shards.
    """
    if not shards_weights(hardware):
        return {"": devices.device(hardware)}
    reads = hardware.strategy != "fsdp2" or os.environ.get("LOCAL_RANK", "0") == "0"
    return None if reads else {"": "meta"}


def materialise_meta_weights(model: Any) -> Any:
    """Allocate uninitialised memory for weights on the meta device, and return the model.

    accelerate matches the weights of the optimizer by their addresses, which weights on meta do not have.
    """
    if not any(weight.is_meta for weight in model.parameters()):
        return model
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            empty = torch.empty_like(weight, device="cpu")
            setattr(module, name, torch.nn.Parameter(empty, requires_grad=weight.requires_grad))
    model.tie_weights()
    return model


def strategy_arguments(config: Config) -> dict[str, Any]:
    """Return the arguments of transformers' TrainingArguments that set up hardware.strategy."""
    hardware = config.hardware
    _keep_deepspeed_out(unless=hardware.strategy.startswith("zero"))
    if hardware.strategy == "ddp":
        return {"ddp_find_unused_parameters": False}
    if hardware.device == "cpu":
        _let_accelerate_shard_on_a_cpu()
    if hardware.strategy == "fsdp2":
        os.environ["ACCELERATE_USE_FSDP"] = os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "true"
        # Without this, every device would accumulate unsharded gradients.
        accelerator = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
        return {"fsdp": True, "fsdp_config": _fsdp(config), "accelerator_config": accelerator}
    return {"deepspeed": _deepspeed(config)}


@contextmanager
def unsharded() -> Iterator[None]:
    """Keep ZeRO-3 from sharding models while they are made in this context, so that weights can be changed first."""
    from transformers.integrations import deepspeed

    before = deepspeed._hf_deepspeed_config_weak_ref  # set as long as the trainer's arguments live
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = before


def _fsdp(config: Config) -> dict[str, Any]:
    """Checkpoints are sharded, except for adapters: these are small, and their sharded checkpoints load wrongly."""
    return {
        "version": 2,
        "cpu_offload": config.hardware.cpu_offload,
        "reshard_after_forward": True,
        "state_dict_type": "FULL_STATE_DICT" if config.peft.trainable == "adapter" else "SHARDED_STATE_DICT",
        "cpu_ram_efficient_loading": True,  # only the first process of each node reads the weights
    }


def _deepspeed(config: Config) -> dict[str, Any]:
    hardware, stage = config.hardware, int(config.hardware.strategy[-1])
    zero: dict[str, Any] = {"stage": stage}
    if hardware.cpu_offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
        if hardware.cpu_offload:
            zero["offload_param"] = {"device": "cpu"}
    return {
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # the same optimizer (PyTorch's) under every strategy
        "bf16": {"enabled": hardware.precision == "bf16"},
        "fp16": {"enabled": hardware.precision == "fp16"},
        "data_types": {"grad_accum_dtype": "fp32"},  # accumulating in 16 bits would change what is learned
        "gradient_clipping": config.optimizer.max_grad_norm,
        "gradient_accumulation_steps": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "train_batch_size": "auto",
    }


def _keep_deepspeed_out(unless: bool) -> None:
    """Keep accelerate from importing DeepSpeed (2 to 5 s) only to see whether a model is a DeepSpeed engine."""
    from accelerate.utils import other

    other.is_deepspeed_available = lambda: unless


def _let_accelerate_shard_on_a_cpu() -> None:
    """Make accelerate treat processes on a CPU as devices to shard over.

    accelerate ignores DeepSpeed and FSDP when it is told to use the CPU. So it is not told; it finds a gloo process
    group and a device that happens to be the CPU. Only hardware=cpu_processes, for trying configurations, needs this.
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    os.environ["ACCELERATE_TORCH_DEVICE"] = os.environ["DS_ACCELERATOR"] = "cpu"
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    if find_spec("deepspeed") is not None:  # whose all-reduce over shared memory takes up to two minutes to compile
        import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]


# --- without training -------------------------------------------------------------------------------------------------


def evaluation_hardware(hardware: HardwareConfig) -> HardwareConfig:
    """Return the hardware configuration for evaluation: a full copy on each device (ddp), or sharded weights (fsdp2).

    Without training there are no gradients and no optimizer state to shard. DeepSpeed shards weights only for training,
    so FSDP does it for zero3 too. Weights stay on the devices, because cpu_offload would slow every forward pass down.
    """
    sharded = shards_weights(hardware) and processes.process_count(hardware) > 1
    return replace(hardware, strategy="fsdp2" if sharded else "ddp", cpu_offload=False)


def load_sharded(load: Callable[[], Any], hardware: HardwareConfig) -> Any:
    """Return the model that `load` loads, with every weight sharded over all processes, which must all call this.

    As in training only the first process of each node reads the weights.
    """
    from accelerate import Accelerator
    from accelerate.utils import FullyShardedDataParallelPlugin, fsdp2_prepare_model

    _keep_deepspeed_out(unless=False)
    if hardware.device == "cpu":
        _let_accelerate_shard_on_a_cpu()
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="TRANSFORMER_BASED_WRAP",
        cpu_ram_efficient_loading=True,  # sets a variable that transformers reads when it loads
    )
    accelerator = Accelerator(mixed_precision="no", fsdp_plugin=plugin)  # the scorer sets autocast itself
    return fsdp2_prepare_model(accelerator, load())


# --- gathering -------------------------------------------------------------------------------------------------------


def full_state_dict(model: Any, trained_only: bool) -> dict[str, torch.Tensor]:
    """Return the full state dict of a sharded model, on the CPU of rank 0; empty in the other processes.

    All processes must call this. trained_only: leave frozen weights out. Of tied weights only one name is kept.
    """
    state, tied = {}, getattr(model, "all_tied_weights_keys", None) or {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name in tied or (trained_only and not tensor.requires_grad):
            continue
        full = _gathered(tensor)
        if processes.is_first():
            state[name] = full
    return state


def _gathered(tensor: Any) -> torch.Tensor:
    if hasattr(tensor, "full_tensor"):  # FSDP
        return tensor.detach().full_tensor().cpu()
    if hasattr(tensor, "ds_id"):  # ZeRO-3
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().cpu().clone()
    return tensor.detach().cpu()


def parameter_count(model: Any) -> int:
    """Return the number of parameters of the whole model; under ZeRO-3, sharded parameters report a size of 0."""
    sharded = [parameter.ds_numel for parameter in model.parameters() if hasattr(parameter, "ds_numel")]
    return sum(sharded) if sharded else int(model.num_parameters())
