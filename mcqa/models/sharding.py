"""How several devices share weights, gradients and optimizer state: hardware.strategy in the libraries' words.

ddp: a copy of everything on each. zero2 (DeepSpeed): gradients and optimizer state parted. zero3 (DeepSpeed) and fsdp2
(PyTorch): weights parted too, and gathered layer by layer where a forward or backward pass needs them.
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


def shards_weights(machine: HardwareConfig) -> bool:
    """Whether no device has all weights. They are then parted when the training begins, not when they are loaded."""
    return machine.strategy in ("zero3", "fsdp2")


def device_map(machine: HardwareConfig) -> dict[str, Any] | None:
    """Where weights go when they are read; None: on the CPU, or where DeepSpeed wants them.

    With FSDP the first process of a machine reads them, and the others get their parts from the first one of all.
    """
    if not shards_weights(machine):
        return {"": devices.device(machine)}
    reads = machine.strategy != "fsdp2" or os.environ.get("LOCAL_RANK", "0") == "0"
    return None if reads else {"": "meta"}


def materialise_meta_weights(model: Any) -> Any:
    """The model to train, with memory for weights that this process did not read; nothing is written there.

    accelerate finds the weights of an optimizer again by their addresses, of which weights on meta have none.
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
    """Of the training loop."""
    machine = config.hardware
    _keep_deepspeed_out(unless=machine.strategy.startswith("zero"))
    if machine.strategy == "ddp":
        return {"ddp_find_unused_parameters": False}
    if machine.device == "cpu":
        _let_accelerate_shard_on_a_cpu()
    if machine.strategy == "fsdp2":
        os.environ["ACCELERATE_USE_FSDP"] = os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "true"
        at_once = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}  # else every device has whole gradients
        return {"fsdp": True, "fsdp_config": _fsdp(config), "accelerator_config": at_once}
    return {"deepspeed": _deepspeed(config)}


@contextmanager
def unsharded() -> Iterator[None]:
    """Have models within made whole, for weights that are changed before ZeRO-3 shards them."""
    from transformers.integrations import deepspeed

    before = deepspeed._hf_deepspeed_config_weak_ref  # set as long as the trainer's arguments live
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = before


def _fsdp(config: Config) -> dict[str, Any]:
    """Checkpoints are written in parts, but for adapters: these are small, and parts of them are loaded wrongly."""
    return {
        "version": 2,
        "cpu_offload": config.hardware.cpu_offload,
        "reshard_after_forward": True,
        "state_dict_type": "FULL_STATE_DICT" if config.peft.trainable == "adapter" else "SHARDED_STATE_DICT",
        "cpu_ram_efficient_loading": True,  # the first process of a machine reads the weights and hands them on
    }


def _deepspeed(config: Config) -> dict[str, Any]:
    machine, stage = config.hardware, int(config.hardware.strategy[-1])
    zero: dict[str, Any] = {"stage": stage}
    if machine.cpu_offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    if stage == 3:
        zero["stage3_gather_16bit_weights_on_model_save"] = True
        if machine.cpu_offload:
            zero["offload_param"] = {"device": "cpu"}
    return {
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # the optimizer is torch's under every strategy, so results are equal
        "bf16": {"enabled": machine.precision == "bf16"},
        "fp16": {"enabled": machine.precision == "fp16"},
        "data_types": {"grad_accum_dtype": "fp32"},  # else accumulation in 16 bits would change what is learned
        "gradient_clipping": config.optimizer.max_grad_norm,
        "gradient_accumulation_steps": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "train_batch_size": "auto",
    }


def _keep_deepspeed_out(unless: bool) -> None:
    """accelerate imports DeepSpeed wherever it is installed, to see whether a model is one of its: 2 to 5 seconds."""
    from accelerate.utils import other

    other.is_deepspeed_available = lambda: unless


def _let_accelerate_shard_on_a_cpu() -> None:
    """Have accelerate take processes on a CPU for as many devices.

    It ignores DeepSpeed and FSDP where it is told to use the CPU. So it is not told, but finds a group over gloo and
    a device that happens to be the CPU. This serves trying a configuration; nothing else depends on it.
    """
    from accelerate.state import PartialState
    from accelerate.utils import DistributedType

    os.environ["ACCELERATE_TORCH_DEVICE"] = os.environ["DS_ACCELERATOR"] = "cpu"
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    if find_spec("deepspeed") is not None:
        _without_compiled_communication()


def _without_compiled_communication() -> None:
    """DeepSpeed would compile an all-reduce over shared memory first, for half a minute to two."""
    import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]


# --- without training -------------------------------------------------------------------------------------------------


def evaluation_hardware(machine: HardwareConfig) -> HardwareConfig:
    """What is left of the strategy where nothing is trained: a copy on each device (ddp), or parted weights (fsdp2).

    There are no gradients and no optimizer state to part. DeepSpeed parts weights only for training, so FSDP does it
    for zero3 too. They stay on the devices: cpu_offload is for the optimizer state first, and slow.
    """
    parts = shards_weights(machine) and processes.process_count(machine) > 1
    return replace(machine, strategy="fsdp2" if parts else "ddp", cpu_offload=False)


def load_sharded(load: Callable[[], Any], machine: HardwareConfig) -> Any:
    """The model that `load` reads, of which each process has its part of every weight. All must ask.

    As in training the first process of a machine reads the weights, the others have none until they get their parts.
    """
    from accelerate import Accelerator
    from accelerate.utils import FullyShardedDataParallelPlugin, fsdp2_prepare_model

    _keep_deepspeed_out(unless=False)
    if machine.device == "cpu":
        _let_accelerate_shard_on_a_cpu()
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        reshard_after_forward=True,
        auto_wrap_policy="TRANSFORMER_BASED_WRAP",
        cpu_ram_efficient_loading=True,  # transformers reads it where it loads
    )
    accelerator = Accelerator(mixed_precision="no", fsdp_plugin=plugin)  # the scorer chooses the precision
    return fsdp2_prepare_model(accelerator, load())


# --- whole again ------------------------------------------------------------------------------------------------------


def full_state_dict(model: Any, trained_only: bool) -> dict[str, torch.Tensor]:
    """The model's state with every weight whole, on the CPU; empty in all processes but the first. All must ask.

    trained_only: without frozen weights.
    """
    state, tied = {}, getattr(model, "all_tied_weights_keys", None) or {}  # the same weights under a second name
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name in tied or (trained_only and not tensor.requires_grad):
            continue
        whole = _whole(tensor)
        if processes.is_first():
            state[name] = whole
    return state


def _whole(tensor: Any) -> torch.Tensor:
    if hasattr(tensor, "full_tensor"):
        return tensor.detach().full_tensor().cpu()
    if hasattr(tensor, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([tensor]):
            return tensor.detach().cpu().clone()
    return tensor.detach().cpu()


def parameter_count(model: Any) -> int:
    """Weights of the whole model, of which ZeRO-3 shows none that is parted."""
    parted = [parameter.ds_numel for parameter in model.parameters() if hasattr(parameter, "ds_numel")]
    return sum(parted) if parted else int(model.num_parameters())
