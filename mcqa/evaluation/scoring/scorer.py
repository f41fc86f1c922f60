"""Score choices by the log-probability of their tokens.

Shapes: B rows, T tokens, H tokens of a header that all rows begin with, S scored places, V vocabulary. Logits at t
predict token t + 1. Rows are padded on the right, and padding never reaches a sum.

A question is one row, its prompt once and the choices as a tree behind it (tree.py). What all rows begin with, the
examples of a few-shot prompt above all, is read once. Logits are taken only where a token is scored, and the softmax
over the vocabulary in float32: in bfloat16 ties at the top flip answers. Models that cannot read a tree, which a
few questions scored both ways show, get a row a choice: the same numbers, later.

Scores are summed, in nats and not normalised by length; metrics.py does that, so all accuracies come from one
forward pass. With several processes each takes every n-th batch, and all of them make as many forward passes.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import torch
import torch.distributed as dist

from mcqa.config.errors import ModelError
from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation.scoring import tree
from mcqa.evaluation.scoring.forward import Forward
from mcqa.evaluation.scoring.tree import Path, Row

CPU_TOKENS, GPU_TOKENS, MOST_TOKENS = 512, 1 << 14, 1 << 18  # of a forward pass; more are no faster on a CPU,


CPU_TOKENS_BEHIND = 2048  # but behind a header, whose keys and values every pass reads


CPU_LOGITS, GPU_LOGITS = 1 << 23, 1 << 26  # numbers in the logits of a forward pass, at most


SHORTEST_HEADER = 16  # tokens; a shorter one is read again in every row


PROBED = 2  # questions, and choices of each, that show whether a model reads trees


@dataclass(frozen=True)
class ScoredChoices:
    """Log-probabilities in nats, by question and choice; which questions were too long; which way was taken."""

    scores: list[list[float]]
    truncated: list[bool]
    way: str


def score(
    model: Any,
    encoded: Sequence[Sequence[EncodedChoice]],
    tokens_per_forward: int | None = None,
    autocast: AbstractContextManager[Any] | None = None,
) -> ScoredChoices:
    """Summed log-probability of every choice's continuation, in the order of `encoded`; NaN stays NaN.

    A choice longer than the model's context loses tokens of its context from the left, as in
    lm-evaluation-harness, and its question is counted. tokens_per_forward None: what the device takes.

    Raises:
        ModelError: when one question alone is too much for the memory.
    """
    model = _unwrapped(model)
    questions, truncated = _paths(model, encoded)
    with _evaluating(model), autocast or nullcontext():
        forward, rows, way = _way(model, questions, tokens_per_forward)
        sums = torch.zeros(sum(map(len, encoded)), dtype=torch.float64, device=forward.device)
        _add_scores(forward, rows, _Budget(forward, tokens_per_forward), sums)
    if _processes() > 1:
        dist.all_reduce(sums)
    values = iter(sums.tolist())
    return ScoredChoices([[next(values) for _ in choices] for choices in encoded], truncated, way)


# --- which rows -------------------------------------------------------------------------------------------------------


def _paths(model: Any, encoded: Sequence[Sequence[EncodedChoice]]) -> tuple[list[list[Path]], list[bool]]:
    context_length = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    questions, truncated, first = [], [], 0
    for choices in encoded:
        found, cut = tree.paths(choices, first, context_length)
        questions.append(found)
        truncated.append(cut)
        first += len(choices)
    return questions, truncated


def _way(model: Any, questions: list[list[Path]], tokens: int | None) -> tuple[Forward, list[Row], str]:
    """How to read the questions: the fastest way that gives a few of them the scores that plain rows give."""
    window, plain = _window(model), Forward(model, [])
    probed = _probed([paths for paths in questions if len(paths) > 1 and _fits(paths, window)])
    rows = [row for paths in questions for row in _rows(paths, window)]
    long = sum(not _fits(paths, window) for paths in questions)
    but = f"; a row a choice for {long} questions that are longer than the model's attention window" if long else ""
    if (header := _header(rows, window)) and (forward := _tried(model, header, plain, probed, tokens)):
        return forward, rows, f"a row a question, {len(header)} tokens that all begin with read once"
    if all(row.linear for row in rows):
        return plain, rows, f"a row a question{but}"
    if (forward := _tried(model, [], plain, probed, tokens)) is not None:
        return forward, rows, f"a row a question, the choices as a tree{but}"
    rows = [row for paths in questions for row in tree.lines(paths)]
    return plain, rows, "a row a choice, because the model cannot read a tree of choices"


def _probed(questions: list[list[Path]]) -> list[list[Path]]:
    """Two choices of each of the shortest questions, such that part before their last token: others show no tree."""
    ordered = sorted(questions, key=lambda paths: len(paths[0].inputs))
    pairs = (pair for paths in ordered for pair in combinations(paths, 2))
    branching = (list(pair) for pair in pairs if _branch(*(path.inputs for path in pair)))
    return list(islice(branching, PROBED)) or [paths[:2] for paths in ordered[:PROBED]]


def _branch(one: list[int], other: list[int]) -> bool:
    length = min(len(one), len(other))
    return one[0] == other[0] and one[:length] != other[:length]


def _rows(paths: list[Path], window: float) -> list[Row]:
    return tree.trees(paths) if _fits(paths, window) else tree.lines(paths)


def _fits(paths: list[Path], window: float) -> bool:
    """No longer than the attention window of the model, which the mask of a tree does not know."""
    return max(len(path.inputs) for path in paths) <= window


def _window(model: Any) -> float:
    config = model.config.get_text_config()
    used = getattr(config, "use_sliding_window", True)
    windows = [getattr(config, "sliding_window", None) if used else None, getattr(config, "attention_chunk_size", None)]
    return min((window for window in windows if window), default=float("inf"))


def _header(rows: Sequence[Row], window: float) -> list[int]:
    worthwhile = len(rows) > PROBED and max(len(row.tokens) for row in rows) <= window
    length = tree.header(rows) if worthwhile else 0
    return rows[0].tokens[:length] if length >= SHORTEST_HEADER else []


def _tried(
    model: Any, header: list[int], plain: Forward, probed: list[list[Path]], tokens: int | None
) -> Forward | None:
    """A forward pass over trees, if the probed questions get the scores that plain rows give them, in every process."""
    try:
        forward = Forward(model, header)
        found = _scores_of(forward, [row for paths in probed for row in tree.trees(paths)], tokens)
        expected = _scores_of(plain, [row for paths in probed for row in tree.lines(paths)], tokens)
        alike = all(
            math.isclose(found[choice], expected[choice], rel_tol=forward.relative, abs_tol=forward.absolute)
            for choice in expected
        )
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):  # not made for such a mask
        alike = False
    return forward if _least(int(alike), plain.device) else None


def _scores_of(forward: Forward, rows: list[Row], tokens: int | None) -> dict[int, float]:
    """In small batches: memory that ran out here would be taken for a model that cannot read a tree."""
    sums: dict[int, float] = defaultdict(float)
    budget = _Budget(forward, min(tokens or CPU_TOKENS, CPU_TOKENS))
    waiting = _by_length(rows)
    while waiting:
        choices_S, scores_S = forward.log_probabilities(_batch(waiting, budget))
        for choice, value in zip(choices_S.tolist(), scores_S.tolist(), strict=True):
            sums[choice] += value
    return sums


# --- batches ----------------------------------------------------------------------------------------------------------


def _add_scores(forward: Forward, rows: list[Row], budget: "_Budget", sums: torch.Tensor) -> None:
    """Score all rows, those of like length together. Every process goes through the same rounds of batches."""
    waiting = _by_length(rows)
    while waiting:
        before = list(waiting)
        batches = [batch for _ in range(_processes()) if (batch := _batch(waiting, budget))]
        number = _process()
        mine = batches[number] if number < len(batches) else batches[0]  # the last round may lack some
        try:
            choices_S, scores_S = forward.log_probabilities(mine)
            fits = True
        except torch.OutOfMemoryError:
            fits = False
        if not _least(int(fits), forward.device):
            waiting = before
            budget.halve(max(batches, key=len))
            continue
        if number < len(batches):
            sums.index_add_(0, choices_S, scores_S)
        budget.grow()


def _by_length(rows: Sequence[Row]) -> list[Row]:
    """The longest last, and rows that need no mask apart: the model's own is faster, and knows its attention window."""
    return sorted(rows, key=lambda row: (row.linear, len(row.tokens)))


def _batch(waiting: list[Row], budget: "_Budget") -> list[Row]:
    """Takes the longest rows that wait, as many as the budget allows and at least one."""
    batch: list[Row] = []
    places = 0
    while waiting:
        places += waiting[-1].places
        if batch and not budget.takes(len(batch) + 1, len(batch[0].tokens), places):
            break
        if batch and batch[0].linear != waiting[-1].linear:
            break
        batch.append(waiting.pop())
    return batch


class _Budget:
    """What a forward pass may hold: as many tokens, padding included, as are given, or as the device takes.

    Found by itself it starts small on a GPU, doubles while half of the memory is free, and halves where memory ran out.
    """

    def __init__(self, forward: Forward, tokens: int | None) -> None:
        self.device, self.header = forward.device, len(forward.header)
        on_gpu = self.device.type == "cuda"
        self.grows = tokens is None and on_gpu
        self.tokens = tokens or (GPU_TOKENS if on_gpu else CPU_TOKENS_BEHIND if self.header else CPU_TOKENS)
        self.places = (GPU_LOGITS if on_gpu else CPU_LOGITS) // forward.model.config.get_text_config().vocab_size

    def takes(self, rows: int, length: int, places: int) -> bool:
        """Attending to the header costs a row about as much as an eighth as many tokens would."""
        return rows * (length + self.header // 8) <= self.tokens and places <= self.places

    def grow(self) -> None:
        if self.grows:
            used = torch.cuda.max_memory_allocated(self.device)
            roomy = used < torch.cuda.get_device_properties(self.device).total_memory / 2
            self.tokens = _least(min(2 * self.tokens, MOST_TOKENS) if roomy else self.tokens, self.device)

    def halve(self, batch: Sequence[Row]) -> None:
        """
        Raises:
            ModelError: when the batch is a single row.
        """
        longest = len(batch[0].tokens)
        if len(batch) == 1:
            raise ModelError(
                f"a question of {longest} tokens is too much for the memory of this device. Take "
                "hardware.precision=bf16, peft=qlora or a smaller model."
            )
        self.grows = False
        self.tokens = len(batch) * (longest + self.header // 8) // 2
        torch.cuda.empty_cache()


# --- processes --------------------------------------------------------------------------------------------------------


def _processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _process() -> int:
    return dist.get_rank() if _processes() > 1 else 0


def _unwrapped(model: Any) -> Any:
    """Without what averages gradients over processes, which knows no attributes of the model's and scores nothing."""
    return model.module if isinstance(model, torch.nn.parallel.DistributedDataParallel) else model


def _least(value: int, device: torch.device) -> int:
    """The least of what the processes have: all of them must decide alike."""
    if _processes() == 1:
        return value
    agreed = torch.tensor(value, device=device)
    dist.all_reduce(agreed, dist.ReduceOp.MIN)
    return int(agreed)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """In eval mode, without gradients and with attention that takes any mask; then as the model was before."""
    bare = model.get_base_model() if hasattr(model, "get_base_model") else model
    training, attention = model.training, bare.config._attn_implementation
    model.eval()
    if attention not in ("sdpa", "eager"):
        bare.set_attn_implementation("sdpa")
    try:
        with torch.no_grad():
            yield
    finally:
        _reshard(model)
        model.train(training)
        if attention not in ("sdpa", "eager"):
            bare.set_attn_implementation(attention)


def _reshard(model: Any) -> None:
    """Weights sharded by FSDP2 become shards again.

    Its outermost group waits for a backward pass that does not come here. An optimizer made meanwhile would train
    whole weights that are thrown away, and weights put into the shards would not be seen.
    """
    if not dist.is_available() or not dist.is_initialized():
        return
    from torch.distributed.fsdp import FSDPModule  # a second to import

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
