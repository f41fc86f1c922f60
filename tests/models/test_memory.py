"""The memory estimate: exact where arithmetic is, and a 34B in full weights needs more than one node of H100."""

from dataclasses import replace

import pytest

from mcqa.config.errors import ConfigError
from mcqa.models import loading, memory
from mcqa.models.adapters import adapter_config
from tests.small_runs import configured

YI_34B = memory.Shape(34_388_917_248, 33_470_545_920, 0, 557_858_000, 60, 7168, 20480, 64000)
LLAMA_8B = memory.Shape(8_030_261_248, 6_979_321_856, 41_943_040, 218_112_000, 32, 4096, 14336, 128256)
FULL = "peft=none"


def estimated(shape, *overrides):
    config = configured(["model=llama3_1_8b", *overrides])[0]
    return config, memory.estimate(config, replace(shape, adapter=0) if FULL in overrides else shape)


def gigabytes(shape, *overrides):
    return estimated(shape, *overrides)[1].total / memory.GIB


def test_weights_are_counted_from_the_architecture_without_reading_any():
    config, _ = configured([])
    tokenizer = loading.load_tokenizer(config.model, [])
    loaded = loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0)
    found = memory.shape(config.model, config.peft)
    assert found.weights == loaded.num_parameters()
    adapted = __import__("peft").get_peft_model(loaded, adapter_config(config.peft))
    assert found.adapter == adapted.get_nb_trainable_parameters()[0]


def test_a_small_number_of_target_modules_adds_fewer_weights():
    config, _ = configured(["peft.target_modules=[q_proj,v_proj]"])
    assert (
        0 < memory.shape(config.model, config.peft).adapter < memory.shape(config.model, configured([])[0].peft).adapter
    )


def test_on_one_device_full_weights_take_sixteen_bytes_each():
    _, found = estimated(LLAMA_8B, FULL, "hardware=gpu")
    assert found.lasting == 16 * LLAMA_8B.weights


@pytest.mark.parametrize(("strategy", "parted"), [("zero2", 16), ("zero3", 18), ("fsdp2", 16)])
def test_what_a_strategy_parts_shrinks_with_the_devices(strategy, parted):
    of_two, of_eight = (
        estimated(LLAMA_8B, FULL, "hardware=gpus", f"hardware.strategy={strategy}", f"hardware.devices={n}")[1].lasting
        for n in (2, 8)
    )
    assert of_two - of_eight == pytest.approx(LLAMA_8B.weights * parted * (1 / 2 - 1 / 8))


def test_a_34b_in_full_weights_needs_two_nodes_of_h100():
    config, found = estimated(YI_34B, FULL, "hardware=h100x8", "hardware.strategy=zero3")
    assert "it will not fit" in memory.described(config, found)
    config, found = estimated(YI_34B, FULL, "hardware=nodes2_h100x8")
    assert memory.described(config, found).endswith("Fits 80 GB.")
    memory.check(config, found)


def test_only_what_surely_cannot_fit_is_refused():
    config, found = estimated(YI_34B, FULL, "hardware=h100x8")
    with pytest.raises(
        ConfigError, match=r"weights, gradients and optimizer state alone are 1\d\d GB on each GPU of 80"
    ):
        memory.check(config, found)
    config, found = estimated(YI_34B, FULL, "hardware=h100x8", "hardware.strategy=zero3")
    memory.check(config, found)


def test_adapters_and_four_bits_need_less_and_less():
    needs = [gigabytes(LLAMA_8B, f"peft={name}", "hardware=gpu") for name in ("lora", "qlora")]
    full = gigabytes(LLAMA_8B, FULL, "hardware=gpu")
    assert full > 4 * needs[0] > 6 * needs[1]


@pytest.mark.parametrize("strategy", ["zero2", "zero3", "fsdp2"])
def test_offloading_and_checkpointing_need_less(strategy):
    machine = [FULL, "hardware=gpus", f"hardware.strategy={strategy}"]
    plain = gigabytes(LLAMA_8B, *machine)
    assert gigabytes(LLAMA_8B, *machine, "hardware.cpu_offload=true") < plain
    assert gigabytes(LLAMA_8B, *machine, "hardware.gradient_checkpointing=false") > plain


def test_the_memory_of_a_gpu_is_a_key_and_without_one_nothing_is_promised():
    config, found = estimated(LLAMA_8B, "hardware=gpu", "hardware.memory_gb=null")
    assert "it" not in memory.described(config, found).split() or memory.available(config.hardware)
    config, found = estimated(LLAMA_8B, "hardware=gpu", "hardware.memory_gb=24")
    assert memory.described(config, found).startswith("Memory of this device: about ")
