"""What this machine computes with: device, precision and attention kernel."""

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, cast

import torch

from mcqa.config.errors import ConfigError
from mcqa.config.schema import HardwareConfig
from mcqa.runs import processes

log = logging.getLogger(__name__)

MOST_PROCESSES_A_CORE = 8
"""More on a CPU are a mistake: they would take minutes to start, and then the memory of the machine."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check(hardware: HardwareConfig) -> None:
    """Check that this machine has what the configuration asks for.

    Raises:
        ConfigError: DeepSpeed, a GPU, enough GPUs or cores, or bf16 are missing.
    """
    if hardware.strategy.startswith("zero") and find_spec("deepspeed") is None:
        raise ConfigError(
            f"hardware.strategy={hardware.strategy} needs DeepSpeed, which is not installed (pip install 'mcqa[gpu]', "
            "or deepspeed alone). hardware.strategy=fsdp2 shards weights and optimizer state without it."
        )
    if hardware.device != "cuda":
        cores = os.cpu_count() or 1
        if hardware.devices > MOST_PROCESSES_A_CORE * cores:
            raise ConfigError(
                f"hardware.devices={hardware.devices}: {hardware.devices} processes would share {cores} CPU cores of "
                f"this machine; each needs one. Take hardware.devices={cores} at most."
            )
        return
    visible = f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '(not set)')}."
    if not torch.cuda.is_available():
        built = torch.version.cuda or "none: a CPU build"
        raise ConfigError(
            f"hardware={hardware.name} needs an NVIDIA GPU (or an AMD one and torch for ROCm) and torch sees none here "
            f"(torch {torch.__version__}, CUDA {built}). Take hardware=cpu, or look at nvidia-smi and at {visible}"
        )
    launched = processes.launcher_variables(os.environ) is not None  # then a process may see only its own GPU
    if (count := torch.cuda.device_count()) < hardware.devices and not launched:
        raise ConfigError(
            f"hardware.devices={hardware.devices}: torch sees {count} here. Set hardware.devices, or look at {visible}"
        )
    if hardware.precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ConfigError("hardware.precision: this GPU has no bf16; take hardware.precision=fp16.")


def use_one_gpu() -> None:
    """Hide all GPUs but the first if no launcher is used; the Trainer would split batches over all it sees."""
    if "WORLD_SIZE" not in os.environ and "CUDA_VISIBLE_DEVICES" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = "0"


def device(hardware: HardwareConfig) -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if hardware.device == "cuda" else torch.device("cpu")


def attention(hardware: HardwareConfig) -> str:
    """Return the attention implementation under transformers' name; warn if the faster one is not installed."""
    if hardware.attention != "auto":
        return hardware.attention
    if hardware.device == "cuda" and hardware.precision != "fp32":
        if find_spec("flash_attn") is not None:
            return "flash_attention_2"
        log.warning("flash-attn is not installed (pip install 'mcqa[flash]'): attention runs on PyTorch's SDPA.")
    return "sdpa"


def autocast(hardware: HardwareConfig) -> AbstractContextManager[Any]:
    """Return a context with the precision of the training loop, for forward passes outside of it."""
    if hardware.precision == "fp32":
        return nullcontext()
    return cast(AbstractContextManager[Any], torch.autocast(hardware.device, DTYPES[hardware.precision]))
