"""Score choices by the log-probability of their tokens.

Shapes: S scored positions, V vocabulary. Logits at t predict token t + 1. Rows are padded on the right, and padding
never reaches a sum.

A question is one row, its prompt once and the choices as a tree behind it (tree.py). The prefix that all rows share,
above all the examples of a few-shot prompt, is read once. Logits are computed only where a token is scored, and the
softmax over the vocabulary in float32: in bfloat16 ties at the top flip answers. Models that cannot read a tree, which
a few questions scored both ways show, get a row for each choice: the same scores, later.

Scores are summed, in nats and not normalised by length; metrics.py does that, so all accuracies come from one
forward pass. With several processes each takes every n-th batch, and all of them run as many forward passes.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import accumulate, combinations, islice
from typing import Any

import torch
import torch.distributed as dist

from mcqa.config.errors import ModelError
from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation.scoring import tree
from mcqa.evaluation.scoring.forward import Forward
from mcqa.evaluation.scoring.tree import Path, Row
from mcqa.runs import processes

# Tokens of a forward pass. On a CPU more are no faster, except behind a prefix, whose keys and values every pass reads.
CPU_TOKENS, CPU_TOKENS_WITH_PREFIX = 512, 2048
GPU_TOKENS, MOST_GPU_TOKENS = 1 << 14, 1 << 18  # where the search for what the memory takes starts and ends
CPU_LOGITS, GPU_LOGITS = 1 << 23, 1 << 26  # numbers in the logits of a forward pass, at most
SHORTEST_PREFIX = 16  # tokens; a shorter one is read again in every row
PROBES = 2  # questions, with two choices of each, that show whether a model reads trees


@dataclass(frozen=True)
class ScoredChoices:
    """Log-probabilities in nats, by question and choice, and a sentence on the method.

    truncated: the questions that lost their beginning. too_long: those with a choice that does not fit into the model,
    whose score is NaN.
    """

    scores: list[list[float]]
    truncated: list[bool]
    too_long: list[bool]
    method: str


def score(
    model: Any,
    encoded: Sequence[Sequence[EncodedChoice]],
    tokens_per_forward: int | None = None,
    autocast: AbstractContextManager[Any] | None = None,
) -> ScoredChoices:
    """Return the summed log-probability of every choice's continuation, in the order of `encoded`; NaN stays NaN.

    A prompt that does not fit into the model with its choice loses tokens from the left, as in lm-evaluation-harness,
    and its question counts as truncated. A choice that does not fit by itself is not scored: NaN.
    tokens_per_forward None: as many as the device takes.

    Raises:
        ModelError: one question alone needs more memory than there is.
    """
    if isinstance(model, torch.nn.parallel.DistributedDataParallel):
        model = model.module  # the wrapper has none of its attributes, and no use without gradients
    questions = _paths(model, encoded)
    with _evaluating(model), autocast or nullcontext():
        forward, rows, method = _choose_method(model, questions, tokens_per_forward)
        sums = torch.zeros(sum(map(len, encoded)), dtype=torch.float64, device=forward.device)
        _add_scores(forward, rows, _Budget(forward, tokens_per_forward), sums)
    if processes.world_size() > 1:
        dist.all_reduce(sums)
    measured = {path.choice for paths in questions for path in paths}
    values = iter(value if choice in measured else math.nan for choice, value in enumerate(sums.tolist()))
    return ScoredChoices(
        [[next(values) for _ in choices] for choices in encoded],
        [any(path.dropped for path in paths) for paths in questions],
        [len(paths) < len(choices) for paths, choices in zip(questions, encoded, strict=True)],
        method,
    )


def reads_trees(model: Any, encoded: Sequence[Sequence[EncodedChoice]]) -> bool:
    """Whether the choices of a question, read as a tree, get the scores that they have as rows of their own.

    Tried on two questions, in every process. False too where a question exceeds the model's attention window, which a
    tree does not respect.
    """
    questions = _paths(model, encoded)
    window = attention_window(model)
    if not all(_fits(paths, window) for paths in questions):
        return processes.min_over_ranks(0) == 1
    probes = _probes([paths for paths in questions if len(paths) > 1])
    with _evaluating(model):
        return _checked_forward(model, [], Forward(model, []), probes, None) is not None


# --- method -----------------------------------------------------------------------------------------------------------


def context_length(model: Any) -> int | None:
    """Return how many tokens the model reads at most; None where nothing says so."""
    length: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return length


def _paths(model: Any, encoded: Sequence[Sequence[EncodedChoice]]) -> list[list[Path]]:
    firsts = accumulate(map(len, encoded), initial=0)
    length = context_length(model)
    return [tree.paths(choices, first, length) for choices, first in zip(encoded, firsts, strict=False)]


def _choose_method(model: Any, questions: list[list[Path]], tokens: int | None) -> tuple[Forward, list[Row], str]:
    """Return the fastest method that gives a few of the questions the scores that linear rows give."""
    window, linear = attention_window(model), Forward(model, [])
    probes = _probes([paths for paths in questions if len(paths) > 1 and _fits(paths, window)])
    rows = [row for paths in questions for row in _rows(paths, window)]
    long = sum(not _fits(paths, window) for paths in questions)
    text = "Scoring each question in one forward pass; the choices share its prompt"
    but = f", but those of {long} questions longer than the model's attention window take a pass each" if long else ""
    if cut := sum(len({path.dropped for path in paths}) > 1 for paths in questions):
        but += (
            f". {cut} of {len(questions)} questions are longer than the model's context; their choices lose different "
            "parts of the prompt, so each is read with what it keeps, which takes longer"
        )
    prefix = _shared_prefix(rows, window)
    if prefix and (forward := _checked_forward(model, prefix, linear, probes, tokens)):
        return forward, rows, f"{text}, and the {len(prefix)} tokens that all questions begin with are read once."
    if all(row.linear for row in rows):
        return linear, rows, f"{text}{but}."
    if forward := _checked_forward(model, [], linear, probes, tokens):
        return forward, rows, f"{text}{but}."
    rows = [row for paths in questions for row in tree.linear_rows(paths)]
    return linear, rows, "Scoring each choice in a forward pass of its own; this model cannot read choices as a tree."


def _probes(questions: list[list[Path]]) -> list[list[Path]]:
    """Return two choices of each of the shortest questions that branch before their last token: others show no tree."""
    ordered = sorted(questions, key=lambda paths: len(paths[0].inputs))
    pairs = (pair for paths in ordered for pair in combinations(paths, 2))
    branching = (list(pair) for pair in pairs if _branch(*(path.inputs for path in pair)))
    return list(islice(branching, PROBES)) or [paths[:2] for paths in ordered[:PROBES]]


def _branch(one: list[int], other: list[int]) -> bool:
    length = min(len(one), len(other))
    return one[0] == other[0] and one[:length] != other[:length]


def _rows(paths: list[Path], window: float) -> list[Row]:
    return tree.tree_rows(paths) if _fits(paths, window) else tree.linear_rows(paths)


def _fits(paths: list[Path], window: float) -> bool:
    """Whether the question fits into the model's attention window, which the mask of a tree does not respect."""
    return max((len(path.inputs) for path in paths), default=0) <= window


def attention_window(model: Any) -> float:
    """Return how many tokens back the model's attention reaches, which the mask of a tree does not respect."""
    config = model.config.get_text_config()
    used = getattr(config, "use_sliding_window", True)
    windows = [getattr(config, "sliding_window", None) if used else None, getattr(config, "attention_chunk_size", None)]
    return min((window for window in windows if window), default=float("inf"))


def _shared_prefix(rows: Sequence[Row], window: float) -> list[int]:
    worthwhile = len(rows) > PROBES and max(len(row.tokens) for row in rows) <= window
    length = tree.prefix_length(rows) if worthwhile else 0
    return rows[0].tokens[:length] if length >= SHORTEST_PREFIX else []


def _checked_forward(
    model: Any, prefix: list[int], linear: Forward, probes: list[list[Path]], tokens: int | None
) -> Forward | None:
    """Return a forward pass over trees, if the probes get the scores that linear rows give them, in every process."""
    try:
        forward = Forward(model, prefix)
        scores = _probe_scores(forward, [row for paths in probes for row in tree.tree_rows(paths)], tokens)
        expected = _probe_scores(linear, [row for paths in probes for row in tree.linear_rows(paths)], tokens)
        equal = all(
            math.isclose(scores[choice], expected[choice], rel_tol=forward.relative, abs_tol=forward.absolute)
            for choice in expected
        )
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):  # not made for such a mask
        equal = False
    return forward if processes.min_over_ranks(int(equal)) else None


def _probe_scores(forward: Forward, rows: list[Row], tokens: int | None) -> dict[int, float]:
    """Score in small batches: running out of memory here would pass for a model that cannot read a tree."""
    sums: dict[int, float] = defaultdict(float)
    budget = _Budget(forward, min(tokens or CPU_TOKENS, CPU_TOKENS))
    remaining = _by_length(rows)
    while remaining:
        choices_S, scores_S = forward.log_probabilities(_next_batch(remaining, budget))
        for choice, value in zip(choices_S.tolist(), scores_S.tolist(), strict=True):
            sums[choice] += value
    return sums


# --- batches ----------------------------------------------------------------------------------------------------------


def _add_scores(forward: Forward, rows: list[Row], budget: "_Budget", sums: torch.Tensor) -> None:
    """Score all rows, those of similar length together. Every process goes through the same rounds of batches."""
    remaining = _by_length(rows)
    while remaining:
        before = list(remaining)
        batches = [batch for _ in range(processes.world_size()) if (batch := _next_batch(remaining, budget))]
        rank = dist.get_rank() if processes.world_size() > 1 else 0
        own = batches[rank] if rank < len(batches) else batches[0]  # the last round may have fewer batches
        try:
            choices_S, scores_S = forward.log_probabilities(own)
            fits = True
        except torch.OutOfMemoryError:
            fits = False
        if not processes.min_over_ranks(int(fits)):
            remaining = before
            budget.halve(max(batches, key=len))
            continue
        if rank < len(batches):
            sums.index_add_(0, choices_S, scores_S)
        budget.grow()


def _by_length(rows: Sequence[Row]) -> list[Row]:
    """Sort the longest last, and rows that need no mask apart: the model's own is faster, and has the right window."""
    return sorted(rows, key=lambda row: (row.linear, len(row.tokens)))


def _next_batch(remaining: list[Row], budget: "_Budget") -> list[Row]:
    """Remove and return the longest rows, as many as the budget allows and at least one."""
    batch: list[Row] = []
    positions = 0
    while remaining:
        positions += remaining[-1].scored_positions
        full = batch and not budget.allows(len(batch) + 1, len(batch[0].tokens), positions)
        if full or (batch and batch[0].linear != remaining[-1].linear):
            break
        batch.append(remaining.pop())
    return batch


class _Budget:
    """How many tokens, padding included, a forward pass may hold: as many as are given, or as the device takes.

    The latter starts small on a GPU, doubles while half of the memory is free, and halves where memory ran out.
    """

    def __init__(self, forward: Forward, tokens: int | None) -> None:
        self.device, self.prefix_length = forward.device, len(forward.prefix)
        on_gpu = self.device.type == "cuda"
        self.grows = tokens is None and on_gpu
        on_cpu = CPU_TOKENS_WITH_PREFIX if self.prefix_length else CPU_TOKENS
        self.tokens = tokens or (GPU_TOKENS if on_gpu else on_cpu)
        self.positions = (GPU_LOGITS if on_gpu else CPU_LOGITS) // forward.model.config.get_text_config().vocab_size

    def allows(self, rows: int, length: int, positions: int) -> bool:
        """Attending to the prefix costs a row about as much as an eighth as many tokens would."""
        return rows * (length + self.prefix_length // 8) <= self.tokens and positions <= self.positions

    def grow(self) -> None:
        if self.grows:
            used = torch.cuda.max_memory_allocated(self.device)
            roomy = used < torch.cuda.get_device_properties(self.device).total_memory / 2
            tokens = min(2 * self.tokens, MOST_GPU_TOKENS) if roomy else self.tokens
            self.tokens = processes.min_over_ranks(tokens)

    def halve(self, batch: Sequence[Row]) -> None:
        """Allow half of this batch.

        Raises:
            ModelError: the batch is a single row.
        """
        longest = len(batch[0].tokens)
        if len(batch) == 1:
            raise ModelError(
                f"a question of {longest} tokens is too much for the memory of this device. Take "
                "hardware.precision=bf16, peft=qlora or a smaller model."
            )
        self.grows = False
        self.tokens = len(batch) * (longest + self.prefix_length // 8) // 2
        torch.cuda.empty_cache()


# --- model ------------------------------------------------------------------------------------------------------------


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Run the block in eval mode, without gradients and with attention that takes any mask; then restore the model."""
    base_model = model.get_base_model() if hasattr(model, "get_base_model") else model
    training, attention = model.training, base_model.config._attn_implementation
    model.eval()
    if attention not in ("sdpa", "eager"):
        base_model.set_attn_implementation("sdpa")
    try:
        with torch.no_grad():
            yield
    finally:
        _reshard(model)
        model.train(training)
        if attention not in ("sdpa", "eager"):
            base_model.set_attn_implementation(attention)


def _reshard(model: Any) -> None:
    """Shard the weights again that FSDP2 has gathered.

    Its outermost group waits for a backward pass that does not come here. An optimizer created meanwhile would train
    gathered weights that are thrown away, and weights loaded into the shards would not be seen.
    """
    if not dist.is_available() or not dist.is_initialized():
        return
    from torch.distributed.fsdp import FSDPModule  # takes a second to import

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
