"""4-bit weights train as they are measured."""

import torch
from peft import get_peft_model

from mcqa.models.adapters import adapter_config
from tests.small_runs import configured, loaded


def gradient(model, tokenizer):
    """The gradient of the adapter's parameters for one sentence."""
    ids = torch.tensor([tokenizer(["The capital of France is Paris."])["input_ids"][0]])
    model.train()
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_measuring_a_4_bit_base_leaves_the_gradients_of_training_alone():
    """bitsandbytes on CPUs with AVX512-BF16: without our guard the cosine falls to about 0.1 (only seen there)."""
    config, _ = configured(["peft=qlora", "peft.dropout=0"])
    gradients = []
    for measured_before in (False, True):
        base, tokenizer = loaded("peft=qlora", "peft.dropout=0")
        guarded = [module for module in base.modules() if hasattr(module, "support_avx512bf16_for_cpu")]
        assert guarded
        assert not any(module.support_avx512bf16_for_cpu for module in guarded)
        if measured_before:
            base.eval()
            with torch.no_grad():
                base(input_ids=torch.tensor([[5, 6, 7]]))
        torch.manual_seed(0)
        model = get_peft_model(base, adapter_config(config.peft))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.02)
        gradients.append(gradient(model, tokenizer))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999
