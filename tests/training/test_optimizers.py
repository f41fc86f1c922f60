"""Optimizers on the embedded model: groups by name, their learning rates, norms and clipping, and Muon beside AdamW."""

import math

import pytest
import torch

from mcqa.config.composition import ROOT
from mcqa.config.errors import ConfigError
from mcqa.config.trainer_args import OPTIMIZERS
from mcqa.training import optimizers, trainer
from mcqa.training.optimizers import MuonWithAdamW, group_of
from tests.small_runs import configured
from tests.training.test_trainer import built

NAMES = sorted(path.stem for path in (ROOT / "conf" / "optimizer").glob("*.yaml"))
GROUP = "{{pattern: {}, learning_rate_factor: {}, max_grad_norm: {}, weight_decay: null}}"


def test_every_option_has_a_name_of_transformers():
    from transformers.training_args import OptimizerNames

    assert set(OPTIMIZERS) == set(NAMES)
    assert set(OPTIMIZERS.values()) <= {name.value for name in OptimizerNames}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("model.layers.0.self_attn.q_proj.weight", "linear"),
        ("model.layers.0.self_attn.q_proj.bias", "linear"),
        ("model.layers.0.self_attn.q_norm.weight", "norms"),
        ("model.layers.0.input_layernorm.weight", "norms"),
        ("transformer.h.0.ln_1.bias", "norms"),
        ("transformer.wte.weight", "embeddings"),
        ("model.embed_tokens.weight", "embeddings"),
        ("lm_head.weight", "embeddings"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight", "adapter_a"),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight", "adapter_b"),
        ("base_model.model.model.embed_tokens.lora_embedding_B.default", "adapter_b"),
        ("base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector.default.weight", "norms"),
        ("base_model.model.lm_head.modules_to_save.default.weight", "embeddings"),
    ],
)
def test_the_last_group_whose_pattern_is_found_in_a_name_has_the_parameter(name, group):
    assert group_of(name, configured([])[0].optimizer.groups) == group


def prepared(overrides, folder):
    """A trainer that has its optimizer, and the names of the parameters."""
    sft_trainer, *_ = built(overrides, folder)
    sft_trainer.create_optimizer()
    return sft_trainer, {id(parameter): name for name, parameter in sft_trainer.model.named_parameters()}


def test_lora_plus_is_a_higher_learning_rate_of_b(small, tmp_path):
    overrides = ["optimizer.groups.adapter_b.learning_rate_factor=16", "optimizer.learning_rate=0.001"]
    schedule = ["scheduler=constant", "scheduler.warmup_ratio=0.2", "objective.max_steps=10"]
    sft_trainer, names = prepared([*small, *overrides, *schedule], tmp_path)
    schedule = sft_trainer.create_scheduler(10)
    for share in (0, 0.5, 1, 1):  # warm-up is two updates
        for group in sft_trainer.optimizer.param_groups:
            factor = {True: 16, False: 1}[all("lora_B" in names[id(each)] for each in group["params"])]
            assert factor == 16 or all("lora_A" in names[id(each)] for each in group["params"])
            assert group["lr"] == pytest.approx(0.001 * factor * share)
        assert sft_trainer.lr_scheduler.get_last_lr()[0] == pytest.approx(0.001 * share)  # which is logged
        sft_trainer.optimizer.step()
        schedule.step()


def test_groups_of_ones_own_come_after_those_that_are_there(small, tmp_path):
    first = GROUP.format("layers.0", 0.1, "null")
    decay = ["optimizer.weight_decay=0.3", "optimizer.groups.norms.weight_decay=0.2"]
    overrides = [*small, "peft=none", f"+optimizer.groups.first={first}", *decay]
    sft_trainer, names = prepared(overrides, tmp_path)
    rate = sft_trainer.args.learning_rate
    for group in sft_trainer.optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            own = "layers.0." in name
            assert group["lr"] == pytest.approx(rate * (0.1 if own else 1))
            assert group["weight_decay"] == (0.0 if own else 0.2) if "norm" in name else 0.3
    assert sft_trainer.optimizer.param_groups[0]["lr"] == rate


def test_a_group_that_is_treated_in_its_own_way_must_have_a_trained_parameter(small, tmp_path):
    overrides = [*small, "peft=lora", "optimizer.groups.norms.learning_rate_factor=16"]
    told = r"optimizer\.groups\.norms: no trained parameter .* trained ones in adapter_a, adapter_b\."
    with pytest.raises(ConfigError, match=told):
        prepared(overrides, tmp_path)


def test_without_groups_the_optimizer_has_those_of_checkpoints_of_earlier_versions(small, tmp_path):
    config, _ = configured(["~optimizer.groups", "+optimizer.groups={}"])
    sft_trainer, *_ = built(small, tmp_path)
    decayed = sft_trainer.get_decay_parameter_names(sft_trainer.model)
    parameters = [each for each in sft_trainer.model.parameters() if each.requires_grad]
    first, second = optimizers.parameter_groups(sft_trainer.model, config.optimizer, decayed)
    assert (first["params"], second["params"]) == (parameters, [])
    assert (first["weight_decay"], second["weight_decay"]) == (config.optimizer.weight_decay, 0)


# --- norms and clipping


def with_gradients(overrides, folder):
    """A trainer whose gradients are random, and a copy of them by the name of the parameter."""
    sft_trainer, _ = prepared(overrides, folder)
    torch.manual_seed(1)
    gradients = {}
    for name, parameter in sft_trainer.model.named_parameters():
        if parameter.requires_grad:
            parameter.grad = torch.randn_like(parameter)
            gradients[name] = parameter.grad.double()
    return sft_trainer, gradients


def norm_of(gradients):
    return math.sqrt(sum(gradient.pow(2).sum().item() for gradient in gradients))


def test_norms_of_groups_are_those_of_their_gradients(small, tmp_path):
    sft_trainer, gradients = with_gradients([*small, "peft=none", "optimizer.max_grad_norm=0"], tmp_path)
    total = sft_trainer._get_grad_norm(sft_trainer.model)
    norms = [gradient for name, gradient in gradients.items() if "norm" in name]
    tables = [gradient for name, gradient in gradients.items() if "embed" in name or "head" in name]
    linear = [g for name, g in gradients.items() if not any(word in name for word in ("norm", "embed", "head"))]
    told = {name: norm.item() for name, norm in sft_trainer.group_norms.items()}
    wanted = {"norms": norm_of(norms), "embeddings": norm_of(tables), "linear": norm_of(linear)}
    assert told == pytest.approx(wanted, rel=1e-5)
    assert total.item() == pytest.approx(norm_of(gradients.values()), rel=1e-5)
    left = {name: each.grad.double() for name, each in sft_trainer.model.named_parameters()}
    assert all(torch.equal(left[name], gradient) for name, gradient in gradients.items())


def test_clipping_of_all_gradients_is_torch_s(small, tmp_path):
    sft_trainer, gradients = with_gradients([*small, "optimizer.max_grad_norm=0.5"], tmp_path)
    total = sft_trainer._clip_grad_norm(sft_trainer.model)
    copies = [torch.nn.Parameter(gradient.float()) for gradient in gradients.values()]
    for copy in copies:
        copy.grad = copy.detach().clone()
    reference = torch.nn.utils.clip_grad_norm_(copies, 0.5)
    assert total.item() == pytest.approx(reference.item(), rel=1e-6)
    clipped = [each.grad for each in sft_trainer.model.parameters() if each.requires_grad]
    assert all(torch.allclose(ours, copy.grad, rtol=1e-6) for ours, copy in zip(clipped, copies, strict=True))


def test_a_group_is_clipped_to_its_own_limit_before_all_are(small, tmp_path):
    limits = ["optimizer.groups.adapter_a.max_grad_norm=2", "optimizer.groups.adapter_b.max_grad_norm=100000"]
    sft_trainer, gradients = with_gradients([*small, *limits, "optimizer.max_grad_norm=5"], tmp_path)
    total = sft_trainer._clip_grad_norm(sft_trainer.model)
    a = norm_of(gradient for name, gradient in gradients.items() if "lora_A" in name)
    b = norm_of(gradient for name, gradient in gradients.items() if "lora_B" in name)
    assert a > 2 and b > 5
    assert total.item() == pytest.approx(math.hypot(a, b), rel=1e-5)  # before clipping
    joint = math.hypot(2, b)
    for name, parameter in sft_trainer.model.named_parameters():
        if parameter.requires_grad:
            scale = (2 / a if "lora_A" in name else 1) * 5 / joint
            assert torch.allclose(parameter.grad.double(), gradients[name] * scale, rtol=1e-4)


# --- updates


@pytest.mark.slow
@pytest.mark.parametrize("peft", ["lora", "none"])
@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_takes_updates_and_the_norms_of_groups_are_logged(name, peft, small, tmp_path, monkeypatch):
    monkeypatch.setattr("mcqa.config.validation.RULES", ())  # on a CPU paged_adamw_8bit is adamw_8bit
    logged = []
    rate = 0.1 if name == "sgd" else 0.001
    overrides = [*small, f"optimizer={name}", f"peft={peft}", f"optimizer.learning_rate={rate}"]
    overrides += ["scheduler.warmup_ratio=0", "tracking.log_every=1", "objective.neftune_alpha=5"]
    sft_trainer, *_ = built(overrides, tmp_path, observers=[lambda values, step: logged.append(values)])
    before = {key: each.detach().clone() for key, each in sft_trainer.model.named_parameters() if each.requires_grad}
    trainer.train(sft_trainer)
    after = dict(sft_trainer.model.named_parameters())
    moved = [key for key, each in before.items() if not torch.equal(each, after[key])]
    assert all(each.isfinite().all() for each in after.values())
    assert len(moved) == len(before)
    losses = [values for values in logged if "train/loss" in values]
    groups = ["adapter_a", "adapter_b"] if peft == "lora" else ["embeddings", "linear", "norms"]
    assert len(losses) == 2
    for values in losses:
        norms = [values[f"grad_norm/{group}"] for group in groups]
        assert math.hypot(*norms) == pytest.approx(values["grad_norm"], rel=1e-5)


@pytest.mark.slow
def test_noise_on_embeddings_is_uniform_as_neftune_has_it_and_only_while_training(small, tmp_path):
    tokens, noise = torch.arange(40).reshape(4, 10), []

    def measure():
        table = sft_trainer.model.get_input_embeddings()
        for training in (False, True):
            noise.append(table.train(training)(tokens).detach() - table.weight[tokens].detach())
        return {"dev/acc": 0.5}

    sft_trainer, *_ = built([*small, "objective.neftune_alpha=5", "objective.max_steps=1"], tmp_path, measure)
    trainer.train(sft_trainer)
    measured, training = noise
    most = 5 / math.sqrt(10 * training.shape[-1])  # alpha / sqrt(length x width), arXiv 2310.05914
    assert not measured.any()
    assert 0.95 * most < training.abs().max() <= most * 1.001
    assert abs(training.mean()) < 0.05 * most
    measure()
    assert not noise[-1].any()  # after the training


def matrices():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(8, 4)), torch.nn.Parameter(torch.randn(4))]


def test_muon_is_torch_s_for_matrices_and_adamw_for_the_rest_also_when_it_goes_on_from_a_checkpoint():
    rate, adamw = 0.01, {"betas": (0.9, 0.99), "eps": 1e-8}

    def ours(weights):
        groups = [
            {"params": weights[:1], "lr": rate, "weight_decay": 0.1, "orthogonalised": True},
            {"params": weights[1:], "lr": 2 * rate, "weight_decay": 0.0, "orthogonalised": False},
        ]
        return MuonWithAdamW(groups, lr=rate, momentum=0.95, **adamw)

    weights, (matrix, vector) = matrices(), matrices()
    optimizer = ours(weights)
    muon = torch.optim.Muon([matrix], lr=rate, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    others = torch.optim.AdamW([vector], lr=2 * rate, weight_decay=0.0, **adamw)
    for number in range(6):
        if number == 3:
            state = optimizer.state_dict()
            optimizer = ours(weights)
            optimizer.load_state_dict(state)
        gradients = [torch.randn_like(weight) for weight in weights]
        for pair in (weights, [matrix, vector]):
            for weight, gradient in zip(pair, gradients, strict=True):
                weight.grad = gradient.clone()
        for each in (optimizer, muon, others):
            each.step()
    assert torch.equal(weights[0], matrix) and torch.equal(weights[1], vector)


def test_muon_orthogonalises_matrices_of_layers_and_never_the_embeddings(small, tmp_path):
    sft_trainer, names = prepared([*small, "optimizer=muon", "peft=none"], tmp_path)
    for group in sft_trainer.optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert group["orthogonalised"] == (not any(word in name for word in ("norm", "embed", "head", "bias")))
