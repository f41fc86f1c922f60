"""What is minimised: the right answer's tokens (sft, pretrain), the choice among all answers (choice), or both.

Each part is a mean over an update, whatever its micro batches and processes:

    right answer   over its tokens, with the end-of-text token: cross-entropy, smoothed over the vocabulary if asked
    choice         over the questions: cross-entropy of a softmax over the scores of the choices, smoothed over them
    unlikelihood   over the tokens of wrong choices: -log(1 - p)          (T-Few, arXiv 2205.05638, section 3.2)

A score is the sum of the log-probabilities of a choice's tokens, divided by its length (as the metric that steers has
it) and by the temperature.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from mcqa.config.schema import ObjectiveConfig
from mcqa.data.tokens import IGNORE_INDEX, EncodedChoice, Example
from mcqa.evaluation.scoring import tree
from mcqa.evaluation.scoring.forward import Forward, wide
from mcqa.evaluation.scoring.tree import Path, Row


@dataclass(frozen=True)
class Item:
    """A training example as rows for the model.

    Targets are numbered: the choices from 0, then, as number len(lengths), the end-of-text token after the right one.
    Without choices all targets have number 0. weight: 0 for padding, which only keeps a process in step.
    """

    rows: list[Row]
    answer: int
    lengths: tuple[float, ...]
    weight: float = 1.0

    @property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return max(len(row.tokens) for row in self.rows)

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(len(row.tokens) for row in self.rows)

    @property
    def positions(self) -> int:
        """At how many positions logits are needed."""
        return sum(row.scored_positions for row in self.rows)


def item(example: Example, as_trees: bool) -> Item:
    """Return the rows of an example: one with the choices as a tree behind the prompt, or one for each choice."""
    if not example.choices:
        ids, labels = example.input_ids, example.labels
        targets = [(i, label, 0) for i, label in enumerate(labels[1:]) if label != IGNORE_INDEX]
        return Item([linear(ids[:-1], targets)], 0, (1.0,))
    paths = [_path(choice, number) for number, choice in enumerate(example.choices)]
    right = example.choices[example.answer]
    end = Path([*right.context, *right.continuation], example.input_ids[-1:], len(paths))
    build = tree.tree_rows if as_trees else tree.linear_rows
    return Item(build([*paths, end]), example.answer, example.lengths)


def padding(token: int) -> Item:
    """Return an item that changes nothing."""
    return Item([linear([token], [(0, token, 0)])], 0, (1.0,), weight=0.0)


def _path(choice: EncodedChoice, number: int) -> Path:
    return Path([*choice.context, *choice.continuation[:-1]], choice.continuation, number)


def linear(tokens: list[int], targets: list[tuple[int, int, int]]) -> Row:
    """Return a row of tokens that follow each other; a target is a place, the token behind it, and its number."""
    return Row(tokens, list(range(len(tokens))), [len(tokens)] * len(tokens), targets)


class Loss:
    """The loss of an objective, summed over items so that the parts of an update add up.

    Shapes: N targets, Q items, K choices of the item that has most. packing: tokens of the rows into which items are
    packed, one behind the other; None for a row of their own each.
    """

    def __init__(self, objective: ObjectiveConfig) -> None:
        self.packing = objective.max_length if objective.packing else None
        self.is_choice = objective.compares_choices
        self.smoothing = objective.label_smoothing
        self.sft_weight = 1.0 if objective.sft_weight is None else objective.sft_weight
        self.unlikelihood_weight = objective.unlikelihood_weight or 0.0
        self.temperature = objective.temperature or 1.0

    def rows(self, items: Iterable[Item]) -> list[Row]:
        """Return the rows of the items as the model reads them."""
        rows = [row for item in items for row in item.rows]
        return rows if self.packing is None else tree.packed_rows(rows, self.packing)

    def counts(self, items: Sequence[Item]) -> list[float]:
        """Return what the parts are divided by: tokens of right answers, questions, and tokens of wrong choices."""
        counted = [item for item in items if item.weight]
        right = sum(len(targets) for targets in map(_right_targets, counted))
        every = sum(len(row.targets) for item in counted for row in item.rows)
        return [right, len(counted), every - right]

    def __call__(self, forward: Forward, items: Sequence[Item], counts: Sequence[float]) -> torch.Tensor:
        """Return the items' share of the loss of an update with these counts."""
        targets = forward.targets(self.rows(items))
        device = targets.choice_N.device
        item_N = torch.tensor([q for q, item in enumerate(items) for row in item.rows for _ in row.targets]).to(device)
        answer_Q = torch.tensor([item.answer for item in items]).to(device)
        end_Q = torch.tensor([len(item.lengths) for item in items]).to(device)
        normaliser_S = targets.normalisers()
        logprob_N = wide(targets.logits_SV[targets.at_N, targets.token_N]) - normaliser_S[targets.at_N]
        weight_Q = torch.tensor([item.weight for item in items]).to(logprob_N)
        is_end_N = targets.choice_N == end_Q[item_N]
        is_right_N = is_end_N | (targets.choice_N == answer_Q[item_N])

        loss_N = -logprob_N
        if self.smoothing and not self.is_choice:
            mean_S = normaliser_S - wide(targets.logits_SV).mean(-1)  # of -log p over the vocabulary
            loss_N = (1 - self.smoothing) * loss_N + self.smoothing * mean_S[targets.at_N]
        right, questions, wrong = (max(1.0, count) for count in counts)
        loss = self.sft_weight * (loss_N * weight_Q[item_N] * is_right_N).sum() / right
        if not self.is_choice:
            return loss
        scores_QK = torch.zeros(len(items), int(end_Q.max()) + 1).to(logprob_N)
        scores_QK = scores_QK.index_put((item_N, targets.choice_N), logprob_N, accumulate=True)[:, :-1]
        loss = loss + (self._choice(scores_QK, items, answer_Q) * weight_Q).sum() / questions
        if self.unlikelihood_weight:
            # p = 1 has an infinite loss and no gradient that would help: log p is kept below the float before 0.
            unlikely_N = -torch.log(-torch.expm1(logprob_N.clamp(max=-1e-7)))
            loss = loss + self.unlikelihood_weight * (unlikely_N * weight_Q[item_N] * ~is_right_N).sum() / wrong
        return loss

    def _choice(self, scores_QK: torch.Tensor, items: Sequence[Item], answer_Q: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of each item's softmax over its own choices, (Q,)."""
        width, device = scores_QK.shape[1], scores_QK.device
        lengths_QK = torch.tensor([[*item.lengths, *[1.0] * (width - len(item.lengths))] for item in items]).to(
            scores_QK
        )
        count_Q1 = torch.tensor([[len(item.lengths)] for item in items]).to(device)
        exists_QK = torch.arange(width, device=device) < count_Q1
        logits_QK = (scores_QK / (lengths_QK * self.temperature)).masked_fill(~exists_QK, float("-inf"))
        logprob_QK = logits_QK.log_softmax(-1)
        right_Q = logprob_QK.gather(1, answer_Q[:, None]).squeeze(1)
        mean_Q = logprob_QK.masked_fill(~exists_QK, 0.0).sum(-1) / count_Q1.squeeze(1)
        return -((1 - self.smoothing) * right_Q + self.smoothing * mean_Q)


def _right_targets(item: Item) -> list[tuple[int, int, int]]:
    numbers = (item.answer, len(item.lengths))
    return [target for row in item.rows for target in row.targets if target[2] in numbers]
