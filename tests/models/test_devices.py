"""What the configuration asks of this machine is checked, and its names become those of the libraries."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from mcqa.config.errors import ConfigError
from mcqa.models import devices
from tests.small_runs import configured

CPU = configured(["hardware=cpu"])[0].hardware
GPU = configured(["hardware=gpu"])[0].hardware


def test_deepspeed_strategies_need_deepspeed(monkeypatch):
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"strategy=zero2 needs DeepSpeed, .* hardware\.strategy=fsdp2 shards"):
        devices.check(replace(CPU, strategy="zero2"))
    devices.check(replace(CPU, strategy="fsdp2"))


def test_a_gpu_that_is_not_there_is_reported_with_what_torch_sees(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"hardware=gpu needs an NVIDIA GPU .* Take hardware=cpu"):
        devices.check(GPU)


def test_a_gpu_without_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(ConfigError, match=r"no bf16; take hardware\.precision=fp16"):
        devices.check(GPU)
    devices.check(replace(GPU, precision="fp16"))


@pytest.mark.parametrize(
    ("hardware", "installed", "expected"),
    [
        (CPU, True, "sdpa"),
        (GPU, True, "flash_attention_2"),
        (GPU, False, "sdpa"),
        (replace(GPU, precision="fp32"), True, "sdpa"),
        (replace(GPU, attention="eager"), True, "eager"),
    ],
)
def test_attention_auto_is_flash_attention_where_it_is_installed_and_works(monkeypatch, hardware, installed, expected):
    monkeypatch.setattr(devices, "find_spec", lambda name: installed or None)
    assert devices.attention(hardware) == expected


def test_forward_passes_compute_in_the_precision_of_the_training_loop():
    assert isinstance(devices.autocast(CPU), nullcontext)
    with devices.autocast(replace(CPU, precision="bf16")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_only_the_first_gpu_is_used_unless_a_launcher_or_the_user_says_otherwise(monkeypatch):
    for name in ("WORLD_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")  # restored after the test
        monkeypatch.delenv(name)
    devices.use_one_gpu()
    assert devices.os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    devices.use_one_gpu()
    assert devices.os.environ["CUDA_VISIBLE_DEVICES"] == "3"
