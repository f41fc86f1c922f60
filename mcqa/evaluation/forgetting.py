"""Forgetting: the perplexity of held-out general text (data.general_texts) before, during and after training."""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import HardwareConfig
from mcqa.data.general_texts import General
from mcqa.data.tokens import encode_texts
from mcqa.evaluation.conversations import ConversationSet, loss_metrics, measure_losses

NAME = "general"
"""What the metrics of general text begin with, as those of a split do with its name."""

PERPLEXITY = f"{NAME}/perplexity"

WINDOW = 512
"""Tokens of a text that are measured, at most; the same for all runs, whatever windows they train on."""


def general_sets(general: General, tokenizer: Any) -> list[ConversationSet]:
    """Encode the held-out general text, of which all tokens but the first are measured; an empty list without any.

    Raises:
        DataError: all texts are of a single token.
    """
    if not general.held_out:
        return []
    encoded = encode_texts(tokenizer, [one.text for one in general.held_out], WINDOW)
    pairs = [(one, its) for one, its in zip(general.held_out, encoded, strict=True) if its.continuation]
    if not pairs:
        raise DataError("data.general_texts: every held-out text is a single token, which nothing before it predicts.")
    texts, choices = zip(*pairs, strict=True)
    return [ConversationSet(NAME, NAME, texts, choices, mixed=False, rejected=[None] * len(texts))]


def general_metrics(model: Any, held_out: ConversationSet, hardware: HardwareConfig) -> dict[str, float]:
    """Return the loss and the perplexity of the general text, by name. Every process of a run must call it."""
    metrics = loss_metrics(held_out, measure_losses(model, held_out, hardware))
    return {name: metrics[name] for name in (f"{NAME}/loss", PERPLEXITY)}
