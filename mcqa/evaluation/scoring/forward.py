"""Forward passes over rows: masks, the prefix that all rows share, and logits only where they are needed.

Shapes: B rows, T tokens, H tokens of the shared prefix, S scored positions, N targets, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from mcqa.evaluation.scoring.tree import Row

# Relative and absolute (nats) difference up to which two ways of computing a score agree.
FLOAT32_TOLERANCE, HALF_TOLERANCE = (1e-5, 1e-3), (2e-2, 3e-1)

SOFTMAX_CHUNK = 1 << 22  # logits that are converted to float32 at a time


def device_of(model: Any) -> torch.device:
    """Return where the model's forward passes run. FSDP can keep the shards of its weights in CPU memory."""
    mesh = getattr(next(model.parameters(), None), "device_mesh", None)
    offloaded = mesh is not None and mesh.device_type == "cuda" and model.device.type == "cpu"
    return torch.device("cuda", torch.cuda.current_device()) if offloaded else model.device


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in float32, or as it is in float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


@dataclass(frozen=True)
class Targets:
    """Scored tokens: the choice and token of each, and its row in the logits, since several may share a position."""

    choice_N: torch.Tensor
    token_N: torch.Tensor
    at_N: torch.Tensor
    logits_SV: torch.Tensor

    def log_probabilities(self) -> torch.Tensor:
        """Return log p of each token in nats, (N,), in float32 or better."""
        return wide(self.logits_SV[self.at_N, self.token_N]) - self.normalisers()[self.at_N]

    def normalisers(self) -> torch.Tensor:
        """Return the logarithm of the sum over the vocabulary, (S,), in float32 or better."""
        parts = self.logits_SV.split(max(1, SOFTMAX_CHUNK // self.logits_SV.shape[1]))
        return torch.cat([wide(part).logsumexp(-1) for part in parts])


class Forward:
    """Runs the model on rows that all begin with `prefix` (tokens, or []), whose keys and values are cached."""

    def __init__(self, model: Any, prefix: list[int], wrapped: Any = None) -> None:
        """wrapped: what to call for the model, where DDP or DeepSpeed have wrapped it."""
        self.model, self.prefix, self.wrapped = model, prefix, model if wrapped is None else wrapped
        self.base_model = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.device = device_of(model)
        half = torch.is_autocast_enabled(self.device.type) or model.dtype != torch.float32
        self.relative, self.absolute = HALF_TOLERANCE if half else FLOAT32_TOLERANCE
        self.prefix_cache: list[tuple[torch.Tensor, torch.Tensor]] = self._read_prefix() if prefix else []

    def log_probabilities(self, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for every target of the rows its choice and its log-probability in nats (float64), on the device."""
        targets = self.targets(rows)
        return targets.choice_N, targets.log_probabilities().double()

    def targets(self, rows: Sequence[Row]) -> "Targets":
        """Return every target of the rows, in order, with the logits where it is scored."""
        numbers = [
            (b, position - len(self.prefix), token, choice)
            for b, row in enumerate(rows)
            for position, token, choice in row.targets
        ]
        row_N, position_N, token_N, choice_N = torch.tensor(numbers).T.to(self.device)
        length = max(len(row.tokens) for row in rows) - len(self.prefix)
        positions_S, at_N = (row_N * length + position_N).unique(return_inverse=True)
        return Targets(choice_N, token_N, at_N, self._logits(rows, length, positions_S))

    def _logits(self, rows: Sequence[Row], length: int, positions_S: torch.Tensor) -> torch.Tensor:
        inputs = self._inputs(rows, length)
        with self._head_at(positions_S):
            logits: torch.Tensor = self.wrapped(**inputs).logits
        if logits.shape[:2] == (1, len(positions_S)):
            return logits[0]
        return logits.flatten(0, 1)[positions_S]  # of a model whose head is none of its modules

    def _inputs(self, rows: Sequence[Row], length: int) -> dict[str, Any]:
        skipped, device = len(self.prefix), self.device
        tokens_BT = _padded([row.tokens[skipped:] for row in rows], length).to(device)
        inputs: dict[str, Any] = {"input_ids": tokens_BT, "attention_mask": None, "use_cache": bool(self.prefix)}
        if not self.prefix and all(row.linear for row in rows):
            return inputs  # padded on the right, so the model's own causal mask is right
        ends_BT = _padded([row.ends[skipped:] for row in rows], length).to(device) - skipped
        inputs["position_ids"] = _padded([row.depths[skipped:] for row in rows], length).to(device)
        inputs["attention_mask"] = self._mask(ends_BT)
        if self.prefix:
            inputs["past_key_values"] = cache = DynamicCache()
            cache.layers = [_PrefixLayer(keys, values) for keys, values in self.prefix_cache]
        return inputs

    def _mask(self, ends_BT: torch.Tensor) -> torch.Tensor:
        """(B, 1, T, H + T), true where a token sees another; padding sees itself, so that no softmax is empty."""
        at_T = torch.arange(ends_BT.shape[1], device=ends_BT.device)
        sees_BTT = (at_T[:, None] >= at_T) & (at_T[:, None] < ends_BT[:, None, :])
        sees_BTT |= at_T[:, None] == at_T
        mask = torch.nn.functional.pad(sees_BTT, (len(self.prefix), 0), value=True)[:, None]
        if self.base_model.config._attn_implementation != "eager":
            return mask
        return torch.zeros(mask.shape, dtype=self.model.dtype, device=mask.device).masked_fill_(~mask, float("-inf"))

    def _read_prefix(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values of every layer, (1, heads, H, width)."""
        cache = DynamicCache()
        tokens = torch.tensor([self.prefix], device=self.device)
        with self._head_at(torch.zeros(1, dtype=torch.long, device=self.device)):
            self.model(input_ids=tokens, past_key_values=cache, use_cache=True)
        return [(layer.keys, layer.values) for layer in cache.layers]

    @contextmanager
    def _head_at(self, positions_S: torch.Tensor) -> Iterator[None]:
        """Show the model's head only these positions of the flattened (B, T), so that no other logits are computed."""
        head = self.base_model.get_output_embeddings()
        if head is None:
            yield
            return
        hook = head.register_forward_pre_hook(lambda _, args: (args[0].flatten(0, 1)[positions_S][None], *args[1:]))
        try:
            yield
        finally:
            hook.remove()


class _PrefixLayer(DynamicLayer):  # type: ignore[misc]
    """Prepends the prefix's keys and values to those of a forward pass, and keeps nothing of the latter."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        rows = keys.shape[0]
        prefix_keys, prefix_values = (tensor.expand(rows, -1, -1, -1) for tensor in (self.keys, self.values))
        return torch.cat([prefix_keys, keys], dim=-2), torch.cat([prefix_values, values], dim=-2)


def _padded(rows: Sequence[Sequence[int]], length: int) -> torch.Tensor:
    """(B, T) with zeros on the right."""
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
