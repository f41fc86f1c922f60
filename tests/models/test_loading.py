import json
import shutil
from dataclasses import replace

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file, save_file

from mcqa.config.errors import ModelError
from mcqa.models import loading, model_files
from mcqa.models.from_scratch import new_tokenizer
from mcqa.models.loading import adapter_config
from tests.small_runs import configured, loaded

STARTER = model_files.ASSETS / "starter"


def test_the_embedded_base_is_small_and_made_of_safetensors():
    assert sum(file.stat().st_size for file in STARTER.iterdir()) < 10 * 2**20
    assert (STARTER / "model.safetensors").exists()
    base, tokenizer = loaded("peft=none")
    assert base.num_parameters() < 5e6
    assert tokenizer.decode(tokenizer(["naïve Ω 漢字"])["input_ids"][0]) == "naïve Ω 漢字"


def test_a_quantised_base_takes_less_memory_and_answers_alike():
    full, tokenizer = loaded("peft=none")
    four_bit, _ = loaded("peft=qlora")
    ids = torch.tensor([tokenizer(["The capital of France is"])["input_ids"][0]])
    linear = "model.layers.0.mlp.down_proj"
    assert four_bit.get_submodule(linear).weight.element_size() == 1
    assert four_bit.get_submodule(linear).weight.numel() * 2 == full.get_submodule(linear).weight.numel()
    with torch.no_grad():
        expected, found = (one.eval()(input_ids=ids).logits.flatten() for one in (full, four_bit))
    assert torch.nn.functional.cosine_similarity(expected, found, dim=0) > 0.9


def test_an_adapter_folder_brings_its_base(tmp_path):
    from peft import get_peft_model

    config, _ = configured(["peft=lora"])
    base, tokenizer = loaded("peft=lora")
    adapted = get_peft_model(base, adapter_config(config.peft))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    loading.save(adapted, tokenizer, tmp_path / "saved", config.hardware)
    again, _ = loaded("peft=none", "model=local", f"model.path={tmp_path / 'saved'}")
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(adapted.eval()(input_ids=ids).logits, again.eval()(input_ids=ids).logits, atol=1e-6)


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(ModelError, match=r"no/such/folder: there is no such folder here"):
        loaded("model=local", "model.path=no/such/folder")


def test_a_tokenizer_that_is_not_there_is_named_by_its_own_key(tmp_path):
    for path, cause in (
        ("no/such/folder", "there is no such folder here"),
        (tmp_path, "the tokenizer cannot be loaded"),
    ):
        with pytest.raises(ModelError, match=rf"^model\.tokenizer={path}: {cause}"):
            loaded(f"model.tokenizer={path}")


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded"):
        loaded("model=local", f"model.path={tmp_path}")


def test_weights_in_pickle_files_are_not_read(tmp_path):
    folder = shutil.copytree(STARTER, tmp_path / "pickled")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError, match="safetensors"):
        loaded("model=local", f"model.path={folder}")


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    folder = shutil.copytree(STARTER, tmp_path / "partial")
    weights = {name: w for name, w in load_file(folder / "model.safetensors").items() if "layers.2.mlp" not in name}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"3 weights are missing, model\.layers\.2\.mlp"):
        loaded("model=local", f"model.path={folder}")


# --- damaged folders -------------------------------------------------------------------------------------------------


def refused(folder, *overrides):
    with pytest.raises(ModelError) as raised:
        loaded("peft=none", "model=local", f"model.path={folder}", *overrides)
    return str(raised.value)


def starter(folder):
    return shutil.copytree(STARTER, folder / "model")


@pytest.fixture
def adapter(tmp_path):
    """A folder with an adapter on the starter."""
    config, _ = configured(["peft=lora"])
    base, tokenizer = loaded("peft=lora")
    loading.save(get_peft_model(base, adapter_config(config.peft)), tokenizer, tmp_path / "adapter", config.hardware)
    return tmp_path / "adapter"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_all_files_that_are_damaged_are_named_before_anything_is_loaded(tmp_path):
    folder = starter(tmp_path)
    (folder / "config.json").write_text("[1]")
    (folder / "tokenizer.json").write_bytes(b"")
    (folder / "model.safetensors").write_bytes((STARTER / "model.safetensors").read_bytes()[:5000])
    message = refused(folder)
    assert f"{folder / 'config.json'} is damaged: it holds list and not dict" in message
    assert f"{folder / 'tokenizer.json'} is damaged: Expecting value" in message
    assert f"{folder / 'model.safetensors'} is damaged" in message and "It has 5000 bytes" in message
    assert message.endswith("copy the folder again from where it came from, or train it again.")


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path):
    folder = starter(tmp_path)
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
        (folder / name).mkdir()
    for name in ("config.json", "model.safetensors"):
        assert f"{folder / name} cannot be read: Is a directory" in refused(folder)


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        ("config.json", {"hidden_size": "x"}, "Field 'hidden_size' expected int"),
        ("config.json", {"hidden_size": 96}, "38 weights have another shape than its config.json says"),
        ("config.json", {"hidden_act": "unheard"}, "KeyError: 'unheard'"),
        ("config.json", {"num_attention_heads": 0}, "ZeroDivisionError"),
        ("tokenizer.json", {"model": 5}, "the tokenizer cannot be loaded: Exception: data did not match"),
        ("tokenizer.json", {"added_tokens": 5}, "'int' object is not iterable"),
        ("tokenizer_config.json", {"model_max_length": "x"}, "the tokenizer cannot be loaded: TypeError"),
    ],
)
def test_whatever_a_library_raises_names_the_folder_and_what_to_do(tmp_path, file, changes, problem):
    change(starter(tmp_path) / file, **changes)
    message = refused(tmp_path / "model")
    assert message.startswith(f"model.path={tmp_path / 'model'}: ") and problem in message
    assert "copy" in message


@pytest.mark.parametrize("share", [None, 0.5])
def test_a_file_of_several_with_weights_that_is_missing_or_short_is_named(tmp_path, share):
    folder = starter(tmp_path)
    weights, second = load_file(folder / "model.safetensors"), folder / "model-00002-of-00002.safetensors"
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    if share:
        second.write_bytes((STARTER / "model.safetensors").read_bytes()[:9000])
    shards = {name: f"model-0000{1 + (name == 'model.norm.weight')}-of-00002.safetensors" for name in weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    assert f"{second} is {'damaged' if share else 'missing'}" in refused(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": [1]}')
    assert "its weight_map does not say in which file each weight is" in refused(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused(tmp_path, value):
    folder = starter(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert "the weight model.norm.weight has values that are infinite or not a number" in refused(folder)


def test_weights_without_a_place_in_the_model_are_told(tmp_path, caplog):
    change(starter(tmp_path) / "config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3)
    loaded("peft=none", "model=local", f"model.path={tmp_path / 'model'}")
    assert "11 weights in its files are not used, model.layers.3." in caplog.text


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"base_model_name_or_path": None}, "does not say which base it belongs to"),
        ({"base_model_name_or_path": "no/such/base"}, "base_model_name_or_path=no/such/base: there is no such folder"),
        ({"peft_type": "UNHEARD"}, "KeyError: 'UNHEARD'"),
        ({"r": 4}, "size mismatch"),
        ({"r": "x"}, "the adapter cannot be loaded: TypeError"),
        ({"target_modules": ["unheard"]}, "Target modules {'unheard'} not found in the base model"),
        ({"target_modules": ["q_proj"]}, "weights have no counterpart"),
    ],
)
def test_an_adapter_that_does_not_fit_its_base_or_its_configuration_is_refused(adapter, changes, problem):
    change(adapter / "adapter_config.json", **changes)
    message = refused(adapter)
    assert problem in message and str(adapter) in message


def test_an_adapter_with_layers_of_other_names_does_not_stay_at_its_beginning(adapter):
    weights = load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace("layers.1.", "layers.9."): weight for name, weight in weights.items()}
    save_file(renamed, adapter / "adapter_model.safetensors", {"format": "pt"})
    assert "28 weights have no counterpart, base_model.model.model.layers.1.mlp" in refused(adapter)


def test_an_adapter_in_a_pickle_file_is_refused_with_how_to_convert_it(adapter):
    weights = adapter / "adapter_model.safetensors"
    torch.save(load_file(weights), adapter / "adapter_model.bin")
    weights.unlink()
    message = refused(adapter)
    assert f"{adapter / 'adapter_model.bin'}: only safetensors are read" in message and "s.save_file(" in message
    (adapter / "adapter_config.json").unlink()
    assert f"{adapter / 'adapter_config.json'} is missing" in refused(adapter)


@pytest.mark.parametrize("content", ["[]", '{"quantization": 5}', '{"unheard": 5}'])
def test_a_damaged_note_of_how_the_base_was_quantised_is_refused(adapter, content):
    (adapter / "base_quantization.json").write_text(content)
    assert str(adapter) in refused(adapter)


def test_a_damaged_weight_file_is_an_error_for_the_user(tmp_path):
    folder = shutil.copytree(STARTER, tmp_path / "damaged")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        loaded("model=local", f"model.path={folder}")


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    big = new_tokenizer(4000, ["some words " * 10, *(f"word{i} other{i * 7}" for i in range(4000))])
    big.save_pretrained(str(tmp_path))
    with pytest.raises(ModelError, match="do not belong together"):
        loaded("model=local", "model.path=embedded:starter", f"model.tokenizer={tmp_path}")


def test_an_adapter_over_4_bit_weights_is_not_sharded(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "embedded:starter"}')
    (tmp_path / "base_quantization.json").write_text('{"quantization": "nf4"}')
    save_file({}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="cannot be sharded over devices; .* take hardware.strategy=ddp"):
        loaded(
            "peft=none",
            "model=local",
            f"model.path={tmp_path}",
            "model.tokenizer=embedded:starter",
            "hardware.strategy=fsdp2",
        )


def test_the_fingerprint_of_a_tokenizer_changes_with_what_it_does():
    texts = ["the capital of France is Paris"] * 3
    one, same, other = (new_tokenizer(size, texts) for size in (280, 280, 270))
    assert loading.fingerprint(one) == loading.fingerprint(same) != loading.fingerprint(other)


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


def test_a_model_folder_without_a_tokenizer_is_refused_unless_another_has_it(tmp_path):
    folder = shutil.copytree(STARTER, tmp_path / "model")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    model = configured(["model=local", f"model.path={folder}"])[0].model
    with pytest.raises(ModelError, match="there is no tokenizer in this folder"):
        model_files.check_local(model)
    model_files.check_local(replace(model, tokenizer="embedded:starter"))
