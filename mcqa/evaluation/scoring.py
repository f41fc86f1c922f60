"""Score choices by the log-probability of their tokens.

Shapes: B rows, T tokens, P scored positions, V vocabulary. Logits at t predict token t + 1. Rows are padded on
the right, and padding never reaches a sum. Logits are taken only at positions where some row of the batch scores
a token, and the softmax over the vocabulary in float32: in bfloat16 ties at the top flip answers.

Scores are summed, in nats and not normalised by length; metrics.py does that, so all accuracies come from one
forward pass.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from mcqa.encoding import Encoded
from mcqa.errors import ModelError


@dataclass(frozen=True)
class Row:
    """One sequence for the model, and the tokens scored at its end for one or several choices.

    Choices whose scored tokens share everything before the last one, letters above all, share a row.
    """

    tokens: list[int]
    targets: list[tuple[int, list[int]]]  # which choice, and its scored tokens


@dataclass(frozen=True)
class Scored:
    """Log-probabilities in nats, by question and choice, and how many questions were too long for the model."""

    scores: list[list[float]]
    truncated: int


def score(
    model: Any,
    encoded: Sequence[Sequence[Encoded]],
    tokens_per_forward: int,
    autocast: AbstractContextManager[Any] | None = None,
) -> Scored:
    """Summed log-probability of every choice's continuation, in the order of `encoded`.

    A choice longer than the model's context loses tokens of its context from the left, as in
    lm-evaluation-harness, and its question is counted.

    Raises:
        ModelError: when a score is not a number.
    """
    context_length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rows, truncated = _rows(encoded, context_length)
    sums = torch.zeros(sum(map(len, encoded)), dtype=torch.float32, device=model.device)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast or nullcontext():
            for batch in _batches(rows, tokens_per_forward):
                _add_scores(model, batch, sums)
    finally:
        model.train(training)
    return Scored(_by_question(sums.tolist(), encoded), truncated)


def _rows(encoded: Sequence[Sequence[Encoded]], context_length: int | None) -> tuple[list[Row], int]:
    rows: list[Row] = []
    truncated = 0
    choice = 0
    for choices in encoded:
        shared: dict[tuple[int, ...], Row] = {}
        cut = False
        for one in choices:
            tokens = [*one.context, *one.continuation]
            if context_length is not None and len(tokens) > context_length + 1:
                tokens, cut = tokens[-(context_length + 1) :], True
            inputs = tuple(tokens[:-1])
            row = shared.setdefault(inputs, Row(list(inputs), []))
            row.targets.append((choice, one.continuation[-len(inputs) :]))
            choice += 1
        rows += shared.values()
        truncated += cut
    return rows, truncated


def _batches(rows: list[Row], tokens_per_forward: int) -> Iterator[list[Row]]:
    """Rows of like length together, as many as the budget of padded tokens allows and at least one."""
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.tokens), reverse=True):
        if batch and (len(batch) + 1) * len(batch[0].tokens) > tokens_per_forward:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _add_scores(model: Any, batch: list[Row], sums: torch.Tensor) -> None:
    length = len(batch[0].tokens)
    inputs_BT = torch.zeros(len(batch), length, dtype=torch.long)
    mask_BT = torch.zeros(len(batch), length, dtype=torch.long)
    scored = []  # row, position, token, choice
    for b, row in enumerate(batch):
        inputs_BT[b, : len(row.tokens)] = torch.tensor(row.tokens)
        mask_BT[b, : len(row.tokens)] = 1
        for choice, continuation in row.targets:
            start = len(row.tokens) - len(continuation)
            scored += [(b, start + i, token, choice) for i, token in enumerate(continuation)]
    row_S, position_S, token_S, choice_S = torch.tensor(scored).T
    positions_P, column_S = position_S.unique(return_inverse=True)
    logits_BPV = _logits(model, inputs_BT, mask_BT, positions_P)
    row_S, column_S, token_S, choice_S = (t.to(logits_BPV.device) for t in (row_S, column_S, token_S, choice_S))
    logprobs_SV = torch.log_softmax(logits_BPV[row_S, column_S].float(), dim=-1)
    sums.index_add_(0, choice_S, logprobs_SV.gather(1, token_S[:, None]).squeeze(1))


def _logits(model: Any, inputs_BT: torch.Tensor, mask_BT: torch.Tensor, positions_P: torch.Tensor) -> torch.Tensor:
    """The model's logits at the given positions; all of them are computed only where a model cannot choose."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    inputs = {
        "input_ids": inputs_BT.to(model.device),
        "attention_mask": mask_BT.to(model.device),
        "use_cache": False,
    }
    if "logits_to_keep" in inspect.signature(type(bare).forward).parameters:
        logits: torch.Tensor = model(**inputs, logits_to_keep=positions_P.to(model.device)).logits
        return logits
    logits = model(**inputs).logits
    return logits[:, positions_P]


def _by_question(flat: list[float], encoded: Sequence[Sequence[Encoded]]) -> list[list[float]]:
    broken = sum(value != value for value in flat)
    if broken:
        raise ModelError(
            f"{broken} of {len(flat)} scores are not numbers: the model's weights or its precision are broken. "
            "Try hardware.precision=fp32; after training, look at train/loss and grad_norm."
        )
    values = iter(flat)
    return [[next(values) for _ in choices] for choices in encoded]
