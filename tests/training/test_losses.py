"""The losses, against the formulas written out: one plain row a choice, all logits, float64."""

from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mcqa.data import tokens
from mcqa.data.loading import load
from mcqa.evaluation.scoring.forward import Forward
from mcqa.models import loading
from mcqa.training.losses import Loss, item, padding
from tests.small_runs import configured

QUESTIONS = 5
LONG = ("a red river", "a red mountain of stone", "nothing", "three old towns")
"""Choices of several tokens, some of which begin alike."""
EXACT = {"rtol": 1e-9, "atol": 1e-12}


@pytest.fixture(scope="module")
def model():
    """All in float64: other architectures compute their norms in float32."""
    torch.manual_seed(0)
    shape = GPT2Config(vocab_size=2000, n_embd=32, n_layer=2, n_head=2, n_positions=256, initializer_range=0.2)
    return GPT2LMHeadModel(shape).double().eval()


def setting(*overrides, choices=None):
    """The objective and some examples for these overrides. choices: in place of those of the questions."""
    config, _ = configured(["+experiment=smoke", *overrides])
    tokenizer = loading.load_tokenizer(config.model, [])
    questions = load(config.data).splits["train"][:QUESTIONS]
    if config.prompt.style == "blank":
        questions = [replace(question, question=f"{question.question} It is _, surely.") for question in questions]
    if choices:
        questions = [replace(question, choices=choices) for question in questions]
    return config.objective, tokens.training_set(tokenizer, config.prompt, config.objective, questions, []).examples


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same(model, ours, expected):
    assert ours.item() == pytest.approx(expected.item(), rel=1e-9)
    mine, theirs = gradients(model, ours), gradients(model, expected)
    assert max(float(gradient.abs().max()) for gradient in theirs.values()) > 1e-3
    for name in theirs:
        torch.testing.assert_close(mine[name], theirs[name], **EXACT)


def loss_of(objective, model, items):
    loss = Loss(objective)
    return loss(Forward(model, []), items, loss.counts(items))


def log_probabilities(model, ids):
    """Of every token after the first: (T - 1, V), from a row of its own."""
    return model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)


def picked(model, before, after):
    """log p of the tokens `after`."""
    rows = log_probabilities(model, [*before, *after])[len(before) - 1 :]
    return rows.gather(1, torch.tensor(after)[:, None]).squeeze(1)


def right_answers(model, examples, smoothing=0.0):
    """The mean cross-entropy of the labels, against a target that is smoothed over the vocabulary."""
    losses = []
    for example in examples:
        rows, labels = log_probabilities(model, example.input_ids), torch.tensor(example.labels[1:])
        kept = labels != tokens.IGNORE_INDEX
        nll = -rows[kept].gather(1, labels[kept][:, None]).squeeze(1)
        losses.append((1 - smoothing) * nll - smoothing * rows[kept].mean(-1))
    return torch.cat(losses).mean()


@pytest.mark.parametrize("overrides", [[], ["objective.loss_on=all"], ["prompt=letters"]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sft_is_the_cross_entropy_of_the_right_answers_tokens(model, overrides, smoothing):
    objective, examples = setting(*overrides, f"objective.label_smoothing={smoothing}")
    ours = loss_of(objective, model, [item(example, as_trees=True) for example in examples])
    assert_same(model, ours, right_answers(model, examples, smoothing))


@pytest.mark.parametrize("as_trees", [True, False])
@pytest.mark.parametrize(
    ("style", "normalise", "smoothing", "temperature", "sft_weight", "unlikelihood_weight"),
    [
        ("cloze", "none", 0.0, 1.0, 1.0, 0.0),
        ("cloze", "tokens", 0.1, 1.0, 0.0, 1.0),
        ("cloze", "characters", 0.0, 0.5, 0.3, 0.7),
        ("cloze", "bytes", 0.0, 2.0, 1.0, 0.0),
        ("letters", "none", 0.1, 1.0, 1.0, 1.0),
        ("letters_with_text", "tokens", 0.0, 1.0, 1.0, 0.0),
        ("blank", "characters", 0.0, 1.0, 0.5, 0.5),
    ],
)
def test_choice_is_the_sum_of_its_three_parts(
    model, as_trees, style, normalise, smoothing, temperature, sft_weight, unlikelihood_weight
):
    objective, examples = setting(
        "objective=choice",
        f"prompt={style}",
        f"objective.normalise={normalise}",
        f"objective.label_smoothing={smoothing}",
        f"objective.temperature={temperature}",
        f"objective.sft_weight={sft_weight}",
        f"objective.unlikelihood_weight={unlikelihood_weight}",
        choices=LONG,
    )
    ours = loss_of(objective, model, [item(example, as_trees) for example in examples])

    choices, wrong = [], []
    for example in examples:
        logprobs = [picked(model, choice.context, choice.continuation) for choice in example.choices]
        pairs = zip(logprobs, example.lengths, strict=True)
        scores = torch.stack([logprob.sum() / length for logprob, length in pairs]) / temperature
        each = -scores.log_softmax(-1)
        choices.append((1 - smoothing) * each[example.answer] + smoothing * each.mean())
        wrong += [logprob for number, logprob in enumerate(logprobs) if number != example.answer]
    unlikely = -torch.log(1 - torch.cat(wrong).exp()).mean()
    expected = (
        sft_weight * right_answers(model, examples) + torch.stack(choices).mean() + unlikelihood_weight * unlikely
    )
    assert_same(model, ours, expected)


@pytest.mark.parametrize("normalise", ["none", "tokens", "characters", "bytes"])
def test_scores_are_divided_as_the_metrics_divide_them(normalise):
    _, examples = setting("objective=choice", f"objective.normalise={normalise}")
    config, _ = configured(["+experiment=smoke"])
    for example, question in zip(examples, load(config.data).splits["train"], strict=False):
        expected = {
            "none": [1] * len(question.choices),
            "tokens": [len(choice.continuation) for choice in example.choices],
            "characters": [len(text) for text in question.choices],
            "bytes": [len(text.encode()) for text in question.choices],
        }
        assert list(example.lengths) == expected[normalise]


def test_by_default_scores_are_divided_as_the_metric_that_steers_has_them():
    for metric, normalise in (("acc", "none"), ("acc_norm", "characters"), ("acc_tokens", "tokens"), ("nll", "none")):
        objective, _ = setting("objective=choice", f"evaluation.best_metric=dev/{metric}")
        assert objective.normalise == normalise


@pytest.mark.parametrize("name", ["sft", "choice"])
def test_parts_of_an_update_add_up_and_padding_adds_nothing(model, name):
    objective, examples = setting(f"objective={name}")
    items = [item(example, as_trees=True) for example in examples]
    loss = Loss(objective)
    counts = loss.counts([*items, padding(0)])
    assert counts == loss.counts(items)
    parts = [items[:1], items[1:3], [padding(0)], [*items[3:], padding(0)]]
    summed = sum(loss(Forward(model, []), part, counts) for part in parts)
    assert_same(model, summed, loss_of(objective, model, items))


@pytest.mark.parametrize("name", ["sft", "choice"])
@pytest.mark.parametrize("length", [1, 90, 10_000])
def test_packed_examples_have_the_loss_and_gradient_of_rows_of_their_own(model, name, length):
    objective, examples = setting(f"objective={name}", choices=LONG)
    items = [item(example, as_trees=True) for example in examples]
    packing = replace(objective, packing=True, max_length=length)
    longest = max(each.longest for each in items)
    rows = Loss(packing).rows(items)
    assert all(len(row.tokens) <= max(length, longest) for row in rows)
    assert len(rows) == {1: QUESTIONS, 10_000: 1}.get(length, len(rows))
    assert_same(model, loss_of(packing, model, items), loss_of(objective, model, items))


def test_what_a_packed_neighbour_says_changes_nothing(model):
    objective, examples = setting("objective.packing=true")
    other = replace(examples[0], input_ids=[7] * len(examples[0].input_ids))
    loss, forward, values = Loss(objective), Forward(model, []), []
    for first in (examples[0], other):
        items = [item(first, as_trees=True), *(item(example, as_trees=True) for example in examples[1:])]
        targets = forward.targets(loss.rows(items))
        own = sum(len(row.targets) for row in items[0].rows)
        values.append(targets.log_probabilities()[own:])
    assert torch.equal(*values)


def test_a_tree_reads_the_prompt_once():
    _, examples = setting("objective=choice", choices=LONG)
    for example in examples:
        tree, rows = item(example, as_trees=True), item(example, as_trees=False)
        assert len(tree.rows) == 1 and len(rows.rows) > 1
        assert tree.longest < sum(len(row.tokens) for row in rows.rows)


def test_in_letters_the_choice_costs_no_more_positions_than_sft():
    (_, choice), (_, sft) = setting("objective=choice", "prompt=letters"), setting("prompt=letters")
    for one, other in zip(choice, sft, strict=True):
        assert item(one, as_trees=True).longest == item(other, as_trees=True).longest
        assert item(one, as_trees=True).positions == item(other, as_trees=True).positions


def test_an_objective_of_another_name_has_none_of_the_weights_of_choice():
    objective, _ = setting()
    assert Loss(replace(objective, name="pretrain")).sft_weight == 1
