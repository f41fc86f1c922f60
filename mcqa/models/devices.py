"""What the machine computes in and with: device, precision, attention."""

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

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check(config: HardwareConfig) -> None:
    """
    Raises:
        ConfigError: when this machine has not what the configuration asks for.
    """
    if config.strategy.startswith("zero") and find_spec("deepspeed") is None:
        raise ConfigError(
            f"hardware.strategy={config.strategy} needs DeepSpeed, which is not installed (pip install 'mcqa[gpu]', or "
            "deepspeed alone). hardware.strategy=fsdp2 shares weights and optimizer state without it."
        )
    if config.device != "cuda":
        return
    if not torch.cuda.is_available():
        built = torch.version.cuda or "none: a CPU build"
        raise ConfigError(
            f"hardware={config.name} needs an NVIDIA GPU (or an AMD one and torch for ROCm) and torch sees none here "
            f"(torch {torch.__version__}, CUDA {built}). Take hardware=cpu, or look at nvidia-smi and "
            f"at CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '(not set)')}."
        )
    started = processes.launcher_variables(os.environ) is not None  # such a process may see no GPU but its own
    if (found := torch.cuda.device_count()) < config.devices and not started:
        raise ConfigError(
            f"hardware.devices={config.devices}: torch sees {found} here. Set hardware.devices, or look at "
            f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', '(not set)')}."
        )
    if config.precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ConfigError("hardware.precision: this GPU has no bf16; take hardware.precision=fp16.")


def use_one_gpu() -> None:
    """With several GPUs in sight and no launcher the training loop would split batches over all of them."""
    if "WORLD_SIZE" not in os.environ and "CUDA_VISIBLE_DEVICES" not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = "0"


def device(config: HardwareConfig) -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if config.device == "cuda" else torch.device("cpu")


def attention(config: HardwareConfig) -> str:
    """The attention implementation by transformers' name; says once when the faster one is not there."""
    if config.attention != "auto":
        return config.attention
    if config.device == "cuda" and config.precision != "fp32":
        if find_spec("flash_attn") is not None:
            return "flash_attention_2"
        log.warning("flash-attn is not installed (pip install 'mcqa[gpu]'): attention runs on PyTorch's SDPA.")
    return "sdpa"


def autocast(config: HardwareConfig) -> AbstractContextManager[Any]:
    """The precision that the training loop computes in, for forward passes outside of it."""
    if config.precision == "fp32":
        return nullcontext()
    return cast(AbstractContextManager[Any], torch.autocast(config.device, DTYPES[config.precision]))
