"""The memory estimate: exact where arithmetic is, and a 34B in full weights needs more than one node of H100."""

from dataclasses import replace

import pytest
from peft import get_peft_model

from mcqa.config.errors import ConfigError
from mcqa.models import loading, memory
from mcqa.models.loading import adapter_config
from tests.small_runs import configured

YI_34B = memory.ModelSize(34_388_917_248, 33_470_545_920, 0, 557_858_000, 60, 7168, 20480, 64000)
LLAMA_8B = memory.ModelSize(8_030_261_248, 6_979_321_856, 41_943_040, 218_112_000, 32, 4096, 14336, 128256)
FULL = "peft=none"


def estimated(size, *overrides):
    config = configured(["model=llama3_1_8b", *overrides])[0]
    return config, memory.estimate(config, replace(size, adapter=0) if FULL in overrides else size)


def gigabytes(size, *overrides):
    return estimated(size, *overrides)[1].total / memory.GIB


def test_weights_are_counted_from_the_architecture_without_reading_any():
    config, _ = configured([])
    tokenizer = loading.load_tokenizer(config.model, [])
    loaded = loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0)
    size = memory.model_size(config.model, config.peft)
    assert size.parameters == loaded.num_parameters()


@pytest.mark.parametrize("targets", ["[q_proj,v_proj]", "'.*layers\\.[01]\\..*_proj'", "[1.mlp.up_proj]", "all-linear"])
def test_target_modules_are_matched_as_peft_does(targets):
    config, _ = configured([f"peft.target_modules={targets}"])
    tokenizer = loading.load_tokenizer(config.model, [])
    base = loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0)
    adapted = get_peft_model(base, adapter_config(config.peft))
    assert memory.model_size(config.model, config.peft).adapter == adapted.get_nb_trainable_parameters()[0] > 0


@pytest.mark.parametrize(
    ("name", "moments"), [("adamw", 8), ("adamw_8bit", 2), ("paged_adamw_8bit", 0), ("adafactor", 0), ("lion", 4),
    ("lion_8bit", 1), ("sgd", 4)],
)  # fmt: skip
def test_what_each_optimizer_keeps_of_earlier_gradients_is_counted(name, moments):
    _, estimate = estimated(LLAMA_8B, FULL, "hardware=gpu", f"optimizer={name}")
    assert estimate.parts["optimizer state"] == moments * LLAMA_8B.parameters


def test_muon_keeps_one_moment_of_the_layers_and_two_of_the_tables():
    _, estimate = estimated(LLAMA_8B, FULL, "hardware=gpu", "optimizer=muon")
    tables = LLAMA_8B.parameters - LLAMA_8B.layers * LLAMA_8B.layer
    assert estimate.parts["optimizer state"] == pytest.approx(4 * LLAMA_8B.parameters + 4 * tables)


def test_on_one_device_full_weights_take_sixteen_bytes_each():
    _, estimate = estimated(LLAMA_8B, FULL, "hardware=gpu")
    assert estimate.model_states == 16 * LLAMA_8B.parameters


@pytest.mark.parametrize(("strategy", "sharded_bytes"), [("zero2", 16), ("zero3", 18), ("fsdp2", 16)])
def test_what_a_strategy_shards_shrinks_with_the_devices(strategy, sharded_bytes):
    with_two, with_eight = (
        estimated(LLAMA_8B, FULL, "hardware=gpus", f"hardware.strategy={strategy}", f"hardware.devices={n}")[
            1
        ].model_states
        for n in (2, 8)
    )
    assert with_two - with_eight == pytest.approx(LLAMA_8B.parameters * sharded_bytes * (1 / 2 - 1 / 8))


def test_a_34b_in_full_weights_needs_two_nodes_of_h100():
    config, estimate = estimated(YI_34B, FULL, "hardware=h100x8", "hardware.strategy=zero3")
    assert "it will not fit" in memory.describe(config, estimate)
    config, estimate = estimated(YI_34B, FULL, "hardware=nodes2_h100x8")
    assert memory.describe(config, estimate).endswith("Fits 80 GB.")
    memory.check(config, estimate)


def test_only_what_surely_cannot_fit_is_refused():
    config, estimate = estimated(YI_34B, FULL, "hardware=h100x8")
    with pytest.raises(
        ConfigError, match=r"weights, gradients and optimizer state alone are 1\d\d GB on each GPU of 80"
    ):
        memory.check(config, estimate)
    config, estimate = estimated(YI_34B, FULL, "hardware=h100x8", "hardware.strategy=zero3")
    memory.check(config, estimate)


def test_adapters_and_four_bits_need_less_and_less():
    needs = [gigabytes(LLAMA_8B, f"peft={name}", "hardware=gpu") for name in ("lora", "qlora")]
    full = gigabytes(LLAMA_8B, FULL, "hardware=gpu")
    assert full > 4 * needs[0] > 6 * needs[1]


@pytest.mark.parametrize("strategy", ["zero2", "zero3", "fsdp2"])
def test_offloading_and_checkpointing_need_less(strategy):
    hardware = [FULL, "hardware=gpus", f"hardware.strategy={strategy}"]
    plain = gigabytes(LLAMA_8B, *hardware)
    assert gigabytes(LLAMA_8B, *hardware, "hardware.cpu_offload=true") < plain
    assert gigabytes(LLAMA_8B, *hardware, "hardware.gradient_checkpointing=false") > plain


def test_the_memory_of_a_gpu_is_a_key_and_without_one_nothing_is_promised():
    config, estimate = estimated(LLAMA_8B, "hardware=gpu", "hardware.memory_gb=null")
    assert "it" not in memory.describe(config, estimate).split() or memory.available_bytes(config.hardware)
    config, estimate = estimated(LLAMA_8B, "hardware=gpu", "hardware.memory_gb=24")
    assert memory.describe(config, estimate).startswith("Memory of this device: about ")


# --- gradient checkpointing ------------------------------------------------------------------------------------------


def decided(monkeypatch, *overrides):
    config, _ = configured(["model=llama3_1_8b", "peft=lora", *overrides])
    monkeypatch.setattr(memory, "model_size", lambda *_: LLAMA_8B)
    return memory.decide_checkpointing(config, 200).hardware.gradient_checkpointing


def test_activations_are_recomputed_where_a_gpu_would_be_too_full_without(monkeypatch):
    assert decided(monkeypatch, "hardware=gpu", "hardware.memory_gb=24") is True
    assert decided(monkeypatch, "hardware=gpu", "hardware.memory_gb=48") is False
    assert decided(monkeypatch, "hardware=gpu", "hardware.memory_gb=48", "hardware.micro_batch_size=32") is True


def test_what_is_told_is_done_and_a_cpu_recomputes_nothing_by_itself(monkeypatch):
    for told in (True, False):
        assert decided(monkeypatch, "hardware=gpu", f"hardware.gradient_checkpointing={told}") is told
    assert decided(monkeypatch) is False


@pytest.mark.parametrize("peft", [["peft=dora"], ["peft.modules_to_save=[lm_head]"], ["peft.modules_to_save=[q_proj]"]])
def test_what_is_trained_is_counted_as_peft_does(peft):
    config, _ = configured(peft)
    tokenizer = loading.load_tokenizer(config.model, [])
    base = loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0)
    adapted = get_peft_model(base, adapter_config(config.peft))
    assert memory.model_size(config.model, config.peft).adapter == adapted.get_nb_trainable_parameters()[0] > 0
