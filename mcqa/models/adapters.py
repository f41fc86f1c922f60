"""LoRA adapters, and the 4-bit weights under them."""

from typing import Any

from mcqa.config.schema import HardwareConfig, PeftConfig
from mcqa.models import devices

BASE_QUANTIZATION = "base_quantization.json"
"""The file beside an adapter that says how its base was quantised."""


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
