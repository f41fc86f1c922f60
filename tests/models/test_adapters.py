"""What peft names is looked for in the model before anything is measured, and a saved adapter is trained further."""

import json
import logging
import shutil

import pytest
import torch
from peft import get_peft_model

from mcqa.config.errors import ModelError
from mcqa.models import adapters, loading, model_files
from mcqa.models.loading import adapter_config
from tests.small_runs import configured, loaded, trained

IDS = torch.tensor([[5, 6, 7, 8]])


def refusal(*overrides):
    config, _ = configured(list(overrides))
    with pytest.raises(ModelError) as raised:
        adapters.check(config.model, config.peft)
    return str(raised.value)


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def saved(folder, *overrides):
    """A model with an adapter whose weights are not those of a new one, and the folder that it is saved in."""
    config, _ = configured(list(overrides))
    base, tokenizer = loaded(*overrides)
    model = get_peft_model(base, adapter_config(config.peft))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += torch.randn_like(weight) / 20
    loading.save(model, tokenizer, folder, config.hardware)
    return model, folder


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "peft.target_modules=[q_proj,v_prj]",
            "peft.target_modules: the model has no module 'v_prj'; its linear layers are down_proj, gate_proj, k_proj, "
            "lm_head, o_proj, q_proj, up_proj, v_proj. Did you mean 'v_proj'?",
        ),
        ("peft.target_modules=all_linear", "the model has no module 'all_linear'"),
        ("peft.target_modules='('", "peft.target_modules=(: is no regular expression"),
        ("peft.target_modules=[mlp]", "'mlp' names model.layers.0.mlp, which is no layer of one matrix"),
        (
            "peft.modules_to_save=[lm_haed]",
            "peft.modules_to_save: the model has no module 'lm_haed'; those with weights are down_proj, embed_tokens, ",
        ),
    ],
)
def test_a_name_that_the_model_does_not_have_is_told_with_those_that_it_has(override, told):
    assert told in refusal(override)


def test_the_nearest_name_is_told():
    assert refusal("peft.target_modules=all_linear").endswith("Did you mean 'all-linear'?")
    assert refusal("peft.modules_to_save=[lm_haed]").endswith("Did you mean 'lm_head'?")


def test_a_layer_of_four_bits_cannot_be_trained_whole():
    assert "has 4-bit weights under peft=qlora" in refusal("peft=qlora", "peft.modules_to_save=[down_proj]")
    config, _ = configured(["peft=qlora", "peft.modules_to_save=[lm_head]"])
    adapters.check(config.model, config.peft)


@pytest.mark.slow
@pytest.mark.parametrize("override", ["peft.target_modules=[foo]", "peft.modules_to_save=[foo]"])
def test_a_wrong_name_ends_a_run_before_the_base_is_measured_and_a_dry_run_too(override, small, monkeypatch):
    monkeypatch.setattr(loading, "load_model", lambda *_: pytest.fail("loaded the base"))
    with pytest.raises(ModelError, match="has no module 'foo'"):
        trained([*small, override])


# --- variants --------------------------------------------------------------------------------------------------------

VARIANTS = [
    ["peft=dora"],
    ["peft=rslora"],
    ["peft=qlora", "peft.dora=true"],
    ["peft.modules_to_save=[embed_tokens]"],  # which is the head too in this model
    ["peft.modules_to_save=[norm]", "peft=qlora"],
]


@pytest.mark.parametrize("overrides", VARIANTS, ids=" ".join)
def test_every_kind_of_adapter_is_loaded_as_it_was_saved(overrides, tmp_path):
    model, folder = saved(tmp_path / "adapter", *overrides)
    again, _ = loaded("peft=none", "model=local", f"model.path={folder}")
    assert torch.allclose(logits(model), logits(again), atol=1e-6)


def test_embeddings_and_head_that_are_one_matrix_stay_one():
    config, _ = configured(["peft.modules_to_save=[lm_head]"])
    base, _ = loaded()
    model = get_peft_model(base, adapter_config(config.peft))
    parts = [
        one.modules_to_save["default"].weight for one in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    assert parts[0] is parts[1]


def test_modules_trained_whole_keep_their_precision_over_a_base_of_16_bits(tmp_path):
    overrides = ["peft.modules_to_save=[norm]", "hardware.precision=bf16"]
    config, _ = configured(overrides)
    base, tokenizer = loaded(*overrides)
    model = get_peft_model(base, adapter_config(config.peft)).float()
    name = "base_model.model.model.norm.modules_to_save.default.weight"
    with torch.no_grad():
        model.get_parameter(name).add_(1e-4)  # lost in bfloat16
    loading.save(model, tokenizer, tmp_path / "adapter", config.hardware)
    again, _ = loaded(*overrides[1:], "model=local", f"model.path={tmp_path / 'adapter'}")
    assert torch.equal(model.get_parameter(name), again.get_parameter(name))


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    """A folder with an adapter of rank 4 on two kinds of layers of the starter."""
    folder = tmp_path_factory.mktemp("saved") / "adapter"
    return saved(folder, "peft.rank=4", "peft.target_modules=[q_proj,v_proj]")[1]


def going_on(folder, *changes):
    return [f"peft.path={folder}", "peft.rank=4", "peft.target_modules=[q_proj,v_proj]", *changes]


@pytest.mark.parametrize("peft", ["lora", "qlora"])
def test_a_saved_adapter_is_loaded_to_be_trained_with_the_dropout_that_is_given(peft, adapter):
    model, _ = loaded(f"peft={peft}", *going_on(adapter, "peft.dropout=0.1"))
    measured, _ = loaded(f"peft={peft}", "model=local", f"model.path={adapter}")
    assert torch.allclose(logits(model), logits(measured), atol=1e-6)
    trainable = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert trainable and all("lora_" in name for name in trainable)
    assert model.peft_config["default"].lora_dropout == 0.1


def test_other_values_than_those_of_the_saved_adapter_are_refused_with_those_that_go_on(adapter):
    assert refusal(f"peft.path={adapter}", "peft.rslora=true").endswith(
        "go on with peft.rank=4 peft.rslora=false peft.target_modules=[q_proj,v_proj]"
    )
    config, _ = configured(going_on(adapter))
    adapters.check(config.model, config.peft)


@pytest.mark.parametrize("name", ["lm_head", "embed_tokens"])
def test_one_matrix_by_either_of_its_names_is_the_same(name, tmp_path):
    _, folder = saved(tmp_path / "adapter", f"peft.modules_to_save=[{name}]")
    for same in ("lm_head", "embed_tokens"):
        config, _ = configured([f"peft.path={folder}", f"peft.modules_to_save=[{same}]"])
        adapters.check(config.model, config.peft)
    assert "go on with peft.modules_to_save=[" in refusal(f"peft.path={folder}")


def test_an_adapter_of_another_base_or_none_at_all_is_refused(adapter, tmp_path):
    base = shutil.copytree(model_files.ASSETS / "starter", tmp_path / "base")
    told = refusal(*going_on(adapter), "model=local", f"model.path={base}")
    assert f"was trained on the base embedded:starter and not on model.path={base}" in told
    assert "holds no adapter" in refusal(f"peft.path={base}")
    assert "there is no such folder" in refusal("peft.path=no/such")
    (folder := shutil.copytree(adapter, tmp_path / "damaged")).joinpath("adapter_config.json").write_text("{")
    assert f"peft.path={folder} cannot be loaded" in refusal(f"peft.path={folder}")


def test_a_model_path_that_holds_an_adapter_is_answered_by_how_to_go_on(adapter):
    config, _ = configured(["model=local", f"model.path={adapter}"])
    with pytest.raises(ModelError, match=rf"give peft\.path={adapter} and its base embedded:starter as the model"):
        loading.check_base(config.model)


@pytest.mark.slow
@pytest.mark.parametrize("peft", ["lora", "qlora"])
def test_training_goes_on_from_the_adapter_of_a_run_and_its_base_is_the_model_with_it(peft, small, caplog):
    caplog.set_level(logging.ERROR)
    overrides = [*small, f"peft={peft}", "optimizer.learning_rate=0.01", "scheduler.warmup_ratio=0"]
    folder, first = trained(overrides)
    again, second = trained([*overrides, f"peft.path={folder / 'model'}"])
    assert second["metrics"]["base/test/loss"] == pytest.approx(first["metrics"]["test/loss"], abs=1e-6)
    assert second["metrics"]["test/loss"] != second["metrics"]["base/test/loss"]
    assert (
        json.loads((again / "model" / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "embedded:starter"
    )
