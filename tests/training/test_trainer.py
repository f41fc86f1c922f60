"""Trainings on the embedded model: order of questions, loss, best state, early stopping, speeds."""

import itertools
import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mcqa.config.errors import TrainingError
from mcqa.data import tokens
from mcqa.data.loading import load
from mcqa.evaluation.doctor import updates
from mcqa.evaluation.scoring.forward import Forward
from mcqa.models import loading
from mcqa.models.loading import adapter_config
from mcqa.training import trainer
from mcqa.training.callbacks import EvaluationPoints, MetricsLogger
from mcqa.training.resume import PaddedSampler
from mcqa.training.trainer import trl_config
from tests.small_runs import configured


def built(overrides, folder, measure=lambda: {"dev/acc": 0.5}, observers=(), cap=None):
    """A trainer on the embedded model, with everything it was built from."""
    config, _ = configured(overrides)
    data = load(config.data)
    tokenizer = loading.load_tokenizer(config.model, [])
    train, seed = data.splits["train"], config.shuffle_seed
    training = tokens.training_set(tokenizer, config.prompt, config.objective, train, [], shuffle_seed=seed)
    base = loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
    adapter = adapter_config(config.peft)
    arguments = trl_config(config, folder, len(training.examples))
    built = trainer.build(config, arguments, base, adapter, tokenizer, training, measure, observers, cap=cap)
    return built, training, tokenizer


class BatchOrder:
    """A collator that also notes which examples form a batch."""

    def __init__(self, collator):
        self.collator, self.batches = collator, []

    def __call__(self, examples):
        self.batches.append([tuple(item.rows[0].tokens) for item in self.collator(examples)["items"]])
        return self.collator(examples)

    def __getattr__(self, name):
        return getattr(self.collator, name)

    def __setattr__(self, name, value):
        if name == "items":
            self.collator.items = value
        else:
            super().__setattr__(name, value)


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_the_learning_rate_follows_its_schedule(name, small, tmp_path):
    overrides = [*small, f"scheduler={name}", "scheduler.warmup_ratio=0.2", "objective.max_steps=10"]
    sft_trainer, *_ = built([*overrides, "optimizer.learning_rate=1.0"], tmp_path)
    sft_trainer.create_optimizer_and_scheduler(10)
    rates = []
    for _ in range(10):
        rates.append(sft_trainer.lr_scheduler.get_last_lr()[0])
        sft_trainer.optimizer.step()
        sft_trainer.lr_scheduler.step()
    after = {
        "constant": [1.0] * 8,
        "linear": [1 - k / 8 for k in range(8)],
        "cosine": [(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)],
    }
    assert rates == pytest.approx([0, 0.5, *after[name]])


def test_weight_decay_leaves_biases_and_norms_alone(small, tmp_path):
    sft_trainer, *_ = built([*small, "peft=none", "optimizer.weight_decay=0.1"], tmp_path)
    sft_trainer.create_optimizer()
    names = {id(parameter): name for name, parameter in sft_trainer.model.named_parameters()}
    decayed = {
        names[id(p)] for group in sft_trainer.optimizer.param_groups if group["weight_decay"] for p in group["params"]
    }
    rest = {
        names[id(p)]
        for group in sft_trainer.optimizer.param_groups
        if not group["weight_decay"]
        for p in group["params"]
    }
    assert decayed
    assert not any("norm" in name or "bias" in name for name in decayed)
    assert rest
    assert all("norm" in name or "bias" in name for name in rest)


@pytest.mark.slow
def test_the_training_set_is_reshuffled_each_epoch_and_alike_for_the_same_seed(small, tmp_path):
    orders = []
    for run in ("first", "second"):
        overrides = [*small, "objective.max_steps=10", "objective.epochs=2", "evaluation.every=10"]
        sft_trainer, training, _ = built(overrides, tmp_path / run)
        sft_trainer.data_collator = BatchOrder(sft_trainer.data_collator)
        trainer.train(sft_trainer)
        orders.append(sft_trainer.data_collator.batches)
    flat = [ids for batch in orders[0] for ids in batch]
    first, second = flat[:40], flat[40:]
    assert sorted(first) == sorted(second) == sorted(tuple(example.input_ids[:-1]) for example in training.examples)
    assert first != second
    assert orders[0] == orders[1]


def drawn(overrides, folder):
    """What chance draws before the first update: adapter weights, and the orders of two epochs."""
    sft_trainer, *_ = built(overrides, folder)
    weights = torch.cat([p.detach().flatten() for p in sft_trainer.model.parameters() if p.requires_grad])
    loader, orders = sft_trainer.get_train_dataloader(), []
    sft_trainer.data_collator.items = range(len(sft_trainer.train_dataset))
    for epoch in range(2):
        loader.set_epoch(epoch)
        orders.append([row for batch in loader.batch_sampler for row in batch])
    return weights, orders, sft_trainer


@pytest.mark.slow
def test_initial_weights_and_the_order_of_questions_each_have_a_seed_of_their_own(small, tmp_path):
    def of(*seeds):
        return drawn([*small, "peft=lora", *seeds], tmp_path / "-".join(seeds))

    weights, orders, _ = of("seed=3")
    same_weights, other_orders, _ = of("seed=3", "order_seed=4")
    other_weights, same_orders, _ = of("seed=4", "order_seed=3")
    followed_weights, followed_orders, _ = of("seed=4")
    assert torch.equal(weights, same_weights) and not torch.equal(weights, other_weights)
    assert torch.equal(other_weights, followed_weights)
    assert orders == same_orders and other_orders == followed_orders
    assert all(one != other for one, other in zip(orders, other_orders, strict=True))


@pytest.mark.slow
def test_several_processes_have_the_order_of_one(small, tmp_path):
    _, (first, second), sft_trainer = drawn([*small, "peft=lora", "order_seed=4"], tmp_path)
    count = len(first)
    sft_trainer.accelerator.state._shared_state["num_processes"] = 2
    try:
        sampler = sft_trainer._get_train_sampler()
    finally:
        sft_trainer.accelerator.state._shared_state["num_processes"] = 1
    assert isinstance(sampler, PaddedSampler)
    for epoch, order in enumerate((first, second)):
        sampler.set_epoch(epoch)
        assert list(sampler)[:count] == order


def test_shuffled_options_follow_the_seed_of_the_order():
    assert configured(["prompt=letters", "seed=3"])[0].shuffle_seed == 3
    assert configured(["prompt=letters", "seed=3", "order_seed=4"])[0].shuffle_seed == 4


@pytest.mark.slow
@pytest.mark.parametrize(("style", "differ"), [("letters", True), ("cloze", False)])
def test_the_options_of_letters_are_reshuffled_each_epoch(style, differ, small, tmp_path):
    overrides = [*small, f"prompt={style}", "objective.max_steps=10", "objective.epochs=2", "evaluation.every=10"]
    sft_trainer, *_ = built(overrides, tmp_path)
    sft_trainer.data_collator = BatchOrder(sft_trainer.data_collator)
    trainer.train(sft_trainer)
    flat = [ids for batch in sft_trainer.data_collator.batches for ids in batch]
    assert (sorted(flat[:40]) != sorted(flat[40:])) == differ


@pytest.mark.slow
def test_the_loss_is_normalised_by_the_supervised_tokens_of_the_whole_update(small, tmp_path):
    losses = []
    for micro in (8, 4, 1):
        logged = []
        overrides = [*small, "peft=none", f"hardware.micro_batch_size={micro}", "objective.max_steps=3"]
        overrides += ["tracking.log_every=1", "evaluation.every=3", "optimizer.learning_rate=0.001"]
        observe = [lambda values, step, logged=logged: logged.append(values.get("train/loss"))]
        sft_trainer, *_ = built(overrides, tmp_path / str(micro), observers=observe)
        trainer.train(sft_trainer)
        losses.append([value for value in logged if value is not None])
    assert len(losses[0]) == 3
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.slow
def test_an_update_that_is_too_large_for_the_memory_begins_again_with_half_and_ends_the_same(
    small, tmp_path, monkeypatch, caplog
):
    overrides = [*small, "peft=none", "hardware.micro_batch_size=8", "objective.max_steps=2", "evaluation.every=2"]
    whole, *_ = built(overrides, tmp_path / "whole")
    trainer.train(whole)
    targets = Forward.targets

    def with_little_memory(self, rows):
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return targets(self, rows)

    monkeypatch.setattr(Forward, "targets", with_little_memory)
    halved, *_ = built(overrides, tmp_path / "halved")
    trainer.train(halved)
    warnings = [message for message in caplog.messages if "ran out of memory" in message]
    assert [message.split()[7] for message in warnings] == ["8", "4"]
    for one, other in zip(whole.model.parameters(), halved.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_question_that_is_too_large_for_the_memory_ends_the_training_with_what_would_do(small, tmp_path, monkeypatch):
    def without_memory(self, rows):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Forward, "targets", without_memory)
    sft_trainer, *_ = built(small, tmp_path)
    with pytest.raises(TrainingError, match="forward pass of 1 question of .* peft=qlora or a smaller model"):
        trainer.train(sft_trainer)


@pytest.mark.slow
def test_the_best_measured_state_remains(small, tmp_path):
    accuracies, states = iter([0.2, 0.9, 0.4]), []

    def measure():
        states.append({name: p.detach().clone() for name, p in sft_trainer.model.named_parameters() if p.requires_grad})
        return {"dev/acc": next(accuracies)}

    sft_trainer, *_ = built([*small, "objective.max_steps=3", "optimizer.learning_rate=0.01"], tmp_path, measure)
    trainer.train(sft_trainer)
    remaining = dict(sft_trainer.model.named_parameters())
    assert len(states) == 3
    assert all(torch.equal(remaining[name], value) for name, value in states[1].items())
    assert any(not torch.equal(remaining[name], value) for name, value in states[2].items())


@pytest.mark.slow
def test_patience_stops_a_training_that_no_longer_gets_better(small, tmp_path):
    accuracies = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    overrides = [*small, "objective.max_steps=5", "evaluation.patience=2"]
    sft_trainer, *_ = built(overrides, tmp_path, lambda: {"dev/acc": next(accuracies)})
    trainer.train(sft_trainer)
    assert sft_trainer.state.global_step == 3


@pytest.mark.slow
def test_early_stopping_follows_another_metric_than_the_one_that_chooses_the_best_state(small, tmp_path):
    losses = iter([0.5, 0.49, 0.48, 0.47])
    overrides = [*small, "objective.max_steps=5", "evaluation.patience=2", "evaluation.stop_metric=dev/loss"]
    sft_trainer, *_ = built(
        [*overrides, "evaluation.min_delta=0.1"],
        tmp_path,
        lambda: {"dev/acc": sft_trainer.state.global_step / 10, "dev/loss": next(losses)},
    )
    trainer.train(sft_trainer)
    assert (sft_trainer.state.global_step, sft_trainer.state.best_global_step) == (3, 3)


@pytest.mark.slow
def test_a_resumed_training_leaves_out_the_measurements_that_were_to_be_left_out(small, tmp_path):
    measured = []

    def stop(values, step):
        if step == 3:
            raise KeyboardInterrupt

    def training(*observers):
        def measure():
            measured.append(one.state.global_step)
            return {"dev/acc": 0.5}

        one, *_ = built([*small, "objective.max_steps=6", "tracking.log_every=1"], tmp_path, measure, observers)
        return one

    slow = training(stop)
    (points,) = (each for each in slow.callback_handler.callbacks if isinstance(each, EvaluationPoints))
    points.clock = partial(next, itertools.count(0, 100))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(slow)
    again = training()
    trainer.train(again)
    assert measured == [1, 5, 6] and again.measurements_left_out == 3


@pytest.mark.slow
def test_a_resumed_training_ends_where_an_undisturbed_one_does(small, tmp_path):
    overrides = [
        *small,
        "objective.max_steps=6",
        "objective.epochs=null",
        "evaluation.every=3",
        "evaluation.best_metric=dev/loss",
    ]
    ends, logs = [], []
    for stop in (False, True):
        folder = tmp_path / str(stop)
        losses = iter([2.0, 1.0, 0.5, 0.4])  # the last state is the best
        sft_trainer, *_ = built(overrides, folder, lambda losses=losses: {"dev/loss": next(losses)})
        sft_trainer.update_log.folder = folder
        if stop:
            sft_trainer.add_callback(StopAt(4))
            with pytest.raises(KeyboardInterrupt):
                trainer.train(sft_trainer)
            sft_trainer, *_ = built(overrides, folder, lambda losses=losses: {"dev/loss": next(losses)})
            sft_trainer.update_log.folder = folder
        trainer.train(sft_trainer)
        logs.append(updates.read(folder / updates.FILE))
        ends.append({name: p for name, p in sft_trainer.model.named_parameters() if p.requires_grad})
    assert all(torch.equal(ends[1][name], value) for name, value in ends[0].items())
    assert [one.number for one in logs[0]] == [1, 2, 3, 4, 5, 6]
    assert logs[1] == logs[0]


class StopAt(trainer.TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_a_loss_or_gradient_that_is_not_a_number_stops_the_training_with_the_usual_causes(name):
    logger = MetricsLogger([], SimpleNamespace(questions=0, tokens=0, positions=0))
    logs = {"loss": 1.0, "grad_norm": 1.0, "learning_rate": 0.5} | {name: math.nan}
    with pytest.raises(TrainingError, match=r"is nan after 7 updates.*learning_rate too high"):
        logger.on_log(None, SimpleNamespace(global_step=7), None, logs)


@pytest.mark.slow
def test_a_training_that_diverges_is_stopped(small, tmp_path):
    overrides = [*small, "peft=none", "optimizer.learning_rate=1e30", "optimizer.max_grad_norm=0"]
    sft_trainer, *_ = built([*overrides, "tracking.log_every=1", "objective.max_steps=4"], tmp_path)
    with pytest.raises(TrainingError, match="not|nan|inf"):
        trainer.train(sft_trainer)


@pytest.mark.slow
def test_speeds_and_padding_are_counted(small, tmp_path):
    seen = []
    overrides = [*small, "objective.max_steps=4", "tracking.log_every=1"]
    sft_trainer, *_ = built(overrides, tmp_path, observers=[lambda values, step: seen.append(values)])
    trainer.train(sft_trainer)
    values = next(value for value in reversed(seen) if "tokens_per_second" in value)
    assert values["questions_per_second"] > 0
    assert values["tokens_per_second"] > values["questions_per_second"]
    assert 0 <= values["padding_fraction"] < 1


def test_adapters_over_4_bit_weights_are_trained_in_single_precision(small, tmp_path):
    sft_trainer, *_ = built([*small, "peft=qlora"], tmp_path)
    trained = [parameter for parameter in sft_trainer.model.parameters() if parameter.requires_grad]
    assert trained
    assert {parameter.dtype for parameter in trained} == {torch.float32}


def test_own_arguments_reach_the_training_loop(small):
    config, _ = configured([*small, "+objective.trainer_args.dataloader_num_workers=3", "optimizer.max_grad_norm=0.3"])
    args = trl_config(config, Path("unused"), 40)
    assert args.dataloader_num_workers == 3
    assert args.max_grad_norm == 0.3
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == 8
