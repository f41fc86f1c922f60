"""TRL's DPOTrainer on our updates: its loss, what it compares with, and that how an update is split changes nothing."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import logsigmoid

from mcqa.data import facts
from mcqa.data.loading import load
from mcqa.data.pairs import preference_set
from mcqa.evaluation.predictions import read
from mcqa.models import loading
from mcqa.models.loading import adapter_config
from mcqa.training import micro_batches, trainer
from mcqa.training.hardest import hardest_wrong
from tests.small_runs import configured, trained
from tests.training.test_conversations import small as short
from tests.training.test_conversations import written
from tests.training.test_curriculum import prediction
from tests.training.test_trainer import StopAt

BETA = 0.1


def built(overrides, folder, measure=lambda: {"dev/acc": 0.5}):
    """A trainer of the embedded model on pairs, ready for its first update, and the items of the first epoch."""
    config, _ = configured(["objective=dpo", "objective.pairs=random", *overrides])
    tokenizer = loading.load_tokenizer(config.model, [])
    training = preference_set(config, load(config.data), tokenizer)
    base = loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
    arguments = trainer.trl_config(config, folder, len(training.examples))
    made = trainer.build(
        config, arguments, base, adapter_config(config.peft), tokenizer, training, measure, observers=()
    )
    made.current_gradient_accumulation_steps = 1  # which the training loop sets
    return made, made.items(training.examples)


def changed(made):
    """The same trainer, as if its model had learned something."""
    generator = torch.Generator().manual_seed(0)
    for parameter in made.model.parameters():
        if parameter.requires_grad:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data += 0.05 * noise
    return made


def step(made, items):
    """The loss, the gradient and the logged rewards of an update."""
    made.model.zero_grad()
    made.model.train()
    loss = made.training_step(made.model, {"items": items}).item()
    gradient = torch.cat([p.grad.flatten() for p in made.model.parameters() if p.grad is not None])
    seen = []
    made.callback_handler.on_log = lambda args, state, control, logs: seen.append(logs)
    made.log({"loss": loss})
    return loss, gradient.clone(), seen[0]


@torch.no_grad()
def logprob(model, row):
    """The log-probability of an answer, from the whole logits."""
    ids = torch.tensor([[*row.tokens, row.targets[-1][1]]])
    logprobs = model(input_ids=ids).logits[0].log_softmax(-1)
    return sum(logprobs[place, token].item() for place, token, _ in row.targets)


def says(logprobs):
    """A model that gives the answers of a batch these log-probabilities, spread over their tokens."""

    def forward(input_ids, labels, **_):
        mask = labels[:, 1:] != -100
        each = torch.tensor(logprobs)[:, None] * mask / mask.sum(1, keepdim=True)
        zeros = torch.zeros_like(each)
        return SimpleNamespace(log_probs=each, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())

    return forward


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # chosen -2 and -2.5 at the start, rejected -3 and -2.8: log ratios 0.5 and -0.2, so 0.7 apart
        ("sigmoid", math.log(1 + math.exp(-BETA * 0.7))),
        ("hinge", 1 - BETA * 0.7),
        ("ipo", lambda chosen, rejected: (0.5 / chosen + 0.2 / rejected - 1 / (2 * BETA)) ** 2),
        ("sigmoid_norm", lambda chosen, rejected: math.log(1 + math.exp(-BETA * (0.5 / chosen + 0.2 / rejected)))),
        ("apo_zero", 1 - 1 / (1 + math.exp(-BETA * 0.5)) + 1 / (1 + math.exp(BETA * 0.2))),
    ],
)
def test_the_loss_is_the_formula_on_numbers_made_by_hand(loss, expected, small, tmp_path):
    made, items = built([*small, f"objective.preference_loss={loss}", "peft=none"], tmp_path)
    (pair,) = [each for each in items if each.lengths[0] != each.lengths[1]][:1]
    made.ref_model = says([-2.5, -2.8])
    value = made.compute_loss(says([-2.0, -3.0]), {"items": [pair], "counts": [0, 1, 0]}).item()
    assert value == pytest.approx(expected(*pair.lengths) if callable(expected) else expected, rel=1e-5)
    assert made.rewards == [pytest.approx((1.0, BETA * 0.5, BETA * -0.2, BETA * 0.7, 1.0), rel=1e-5)]


@pytest.mark.slow
@pytest.mark.parametrize("peft", ["none", "lora"])
def test_the_first_update_is_even_and_later_ones_compare_with_the_model_before_training(peft, small, tmp_path):
    made, items = built([*small, f"peft={peft}"], tmp_path)
    few = items[:4]
    before = [[logprob(made.model.eval(), row) for row in pair.rows] for pair in few]
    loss, _, logs = step(made, few)
    assert loss == pytest.approx(math.log(2), abs=1e-6)
    assert logs["rewards/margins"] == pytest.approx(0, abs=1e-6)
    loss, _, logs = step(changed(made), few)
    after = [[logprob(made.model.eval(), row) for row in pair.rows] for pair in few]
    ratios = BETA * (torch.tensor(after) - torch.tensor(before))
    assert ratios.abs().min() > 1e-3
    assert loss == pytest.approx(-logsigmoid(ratios[:, 0] - ratios[:, 1]).mean().item(), rel=1e-4)
    assert logs["rewards/chosen"] == pytest.approx(ratios[:, 0].mean().item(), rel=1e-3, abs=1e-5)
    assert logs["rewards/rejected"] == pytest.approx(ratios[:, 1].mean().item(), rel=1e-3, abs=1e-5)
    assert logs["rewards/accuracies"] == (ratios[:, 0] > ratios[:, 1]).float().mean().item()


@pytest.mark.slow
def test_how_an_update_is_split_and_padded_does_not_change_it(small, tmp_path):
    made, items = built([*small, "peft=lora"], tmp_path)
    changed(made)
    whole = step(made, items[:7])
    for size in (1, 3):
        made.limits = replace(made.limits, items=size)
        made.data_collator.count = lambda *_: None
        parts = step(made, [*items[:7], made.data_collator.padding])
        assert parts[0] == pytest.approx(whole[0], rel=1e-5)
        assert torch.allclose(parts[1], whole[1], rtol=1e-3, atol=1e-6)
        assert parts[2] == pytest.approx(whole[2], rel=1e-4, abs=1e-6)
    assert micro_batches.split([made.data_collator.padding], made.limits)


@pytest.mark.slow
def test_a_batch_of_padding_changes_nothing(small, tmp_path):
    made, _ = built([*small, "peft=lora"], tmp_path)
    loss, gradient, logs = step(changed(made), [made.data_collator.padding])
    assert loss == 0 and not gradient.any() and "rewards/margins" not in logs


@pytest.mark.slow
def test_an_update_that_begins_again_counts_its_pairs_once(small, tmp_path, monkeypatch):
    made, items = built([*small, "peft=lora"], tmp_path)
    changed(made)
    whole = step(made, items[:6])
    compute, failed = made._compute_loss, []

    def fails_once(*args, **kwargs):
        loss = compute(*args, **kwargs)
        if len(made.rewards) == 1 and not failed:
            failed.append(True)
            raise torch.OutOfMemoryError
        return loss

    monkeypatch.setattr(made, "_compute_loss", fails_once)
    made.limits = replace(made.limits, items=3)
    again = step(made, items[:6])
    assert failed and again[0] == pytest.approx(whole[0], rel=1e-5)
    assert again[2] == pytest.approx(whole[2], rel=1e-4, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [3, 7], ids=["in the first epoch", "in the second epoch"])
def test_a_resumed_training_equals_an_undisturbed_one(stop, small, tmp_path):
    overrides = [*small, "objective.max_steps=8", "objective.epochs=null", "evaluation.every=3", "peft=lora"]
    ends = []
    for stops in ([], [stop]):
        accuracies = iter([0.1, 0.2, 0.3, 0.4])  # the last state is the best
        for at in (*stops, None):
            made, _ = built(overrides, tmp_path / str(len(stops)), lambda each=accuracies: {"dev/acc": next(each)})
            if at is None:
                trainer.train(made)
            else:
                made.add_callback(StopAt(at))
                with pytest.raises(KeyboardInterrupt):
                    trainer.train(made)
        ends.append({name: p for name, p in made.model.named_parameters() if p.requires_grad})
    assert all(torch.equal(ends[1][name], value) for name, value in ends[0].items())


def test_the_hardest_wrong_choice_has_the_highest_score_by_the_metric_that_steers():
    row = prediction(-1.0, -4.0, -3.0)
    assert hardest_wrong([row], "dev/acc") == {"q": 2}
    row = replace(row, question=replace(row.question, choices=("a", "bbbb", "c")))
    assert hardest_wrong([row], "dev/acc_norm") == {"q": 1}
    assert hardest_wrong([row], "dev/ece") == {"q": 2}
    assert hardest_wrong([prediction(-1.0, math.nan, -9.0)], "dev/acc") == {"q": 2}
    assert hardest_wrong([prediction(-3.0, -2.0, -1.0, answer=2)], "dev/acc") == {"q": 1}


@pytest.mark.slow
def test_a_run_compares_with_the_hardest_choices_that_it_measured_and_begins_from_a_finished_run(
    small, finished_run, monkeypatch
):
    seen = []
    items = trainer.PreferenceTrainer.items
    monkeypatch.setattr(trainer.PreferenceTrainer, "items", lambda self, each: seen.append(each) or items(self, each))
    parent, of_parent = finished_run
    overrides = [*small, "objective=dpo", "model=run", f"model.run={parent}", "peft=lora", "tracking.log_every=1"]
    folder, result = trained(overrides)
    rows = read(folder / "predictions" / "base_train.jsonl")
    tokenizer = loading.load_tokenizer(configured(overrides)[0].model, [])
    hardest = hardest_wrong(rows, "dev/acc")
    for row, example in zip(rows, seen[0], strict=True):
        chosen, rejected = (tokenizer.decode(one.continuation) for one in example.choices)
        assert row.question.choices[row.question.answer] in chosen
        assert row.question.choices[hardest[row.question.id]] in rejected
    metrics = result["metrics"]
    assert metrics["base/test/acc"] == of_parent["metrics"]["test/acc"]
    assert {"test/acc_gain_p", "pairs/chosen_tokens", "pairs/rejected_tokens"} <= metrics.keys()
    events = (folder / "events.jsonl").read_text()
    assert all(f"train/rewards/{name}" in events for name in ("chosen", "rejected", "margins", "accuracies"))


@pytest.mark.slow
def test_rows_of_pairs_are_learned_and_the_share_that_is_preferred_can_steer(tmp_path):
    asked = facts.questions("train")[::12]
    rows = [{"prompt": q.question, "chosen": q.choices[q.answer], "rejected": q.choices[q.answer - 1]} for q in asked]
    file = written(tmp_path / "pairs.jsonl", rows)
    overrides = ["objective=dpo", "data=pairs", f"data.path={file}", "evaluation.best_metric=dev/acc_pairs"]
    brief = ["data.conversations.form=plain", "optimizer.learning_rate=0.002"]
    folder, result = trained([*overrides, *brief, *short(tmp_path)])
    metrics = result["metrics"]
    assert result["value"] == metrics["dev/acc_pairs"]
    losses = [json.loads(line) for line in (folder / "losses" / "test.jsonl").read_text().splitlines()]
    assert metrics["test/acc_pairs"] == sum(row["nats"] < row["rejected"] for row in losses) / len(losses)
    assert "The better answer is likelier than the worse one: base on " in (folder / "train.log").read_text()
