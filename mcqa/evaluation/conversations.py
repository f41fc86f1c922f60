"""What is measured where there are no choices: the loss of held-out text, the answers of conversations above all."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mcqa.config.errors import ModelError
from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import HardwareConfig
from mcqa.data import tokens
from mcqa.data.conversations.conversation import Conversation
from mcqa.data.general_texts import GeneralText
from mcqa.data.loading import Data
from mcqa.data.mixture import set_of
from mcqa.data.pairs import with_rejected
from mcqa.data.splits import subsample
from mcqa.data.tokens import EncodedChoice
from mcqa.evaluation.scoring.scorer import score
from mcqa.models import devices
from mcqa.runs import run_folder
from mcqa.runs.files import write_text

log = logging.getLogger(__name__)

BESIDE_QUESTIONS = "conversations"
"""Between the name of a split and its metrics, where the split has questions too."""


@dataclass(frozen=True)
class ConversationSet:
    """The conversations of a split, or general text, encoded once.

    name: what its metrics begin with. mixed: whether their ids begin with the name of their set in a mix. rejected: the
    worse answer of each, where it has one.
    """

    split: str
    name: str
    conversations: Sequence[Conversation | GeneralText]
    encoded: Sequence[EncodedChoice]
    mixed: bool
    rejected: Sequence[EncodedChoice | None]


@dataclass(frozen=True)
class AnswerLoss:
    """The loss of one answer, its end included: nats in all, and tokens. truncated: what is before it lost a part.

    rejected: nats of the worse answer, where there is one; a smaller loss is a likelier answer.
    """

    id: str
    nats: float
    tokens: int
    truncated: bool
    rejected: float | None = None

    @property
    def prefers(self) -> bool:
        """Whether the better answer is the likelier one; equal ones and what is not a number do not count."""
        return self.rejected is not None and self.nats < self.rejected


def conversation_sets(data: Data, splits: Sequence[str], tokenizer: Any) -> list[ConversationSet]:
    """Encode the conversations of these splits and further sets, where they have some."""
    return [
        ConversationSet(
            split,
            f"{split}/{BESIDE_QUESTIONS}" if split in data.splits else split,
            conversations,
            tokens.encode_answers(tokenizer, conversations),
            mixed=data.mixture is not None and split in SPLITS,
            rejected=_encode_rejected(conversations, tokenizer),
        )
        for split in splits
        if (conversations := data.conversations.get(split))
    ]


def _encode_rejected(conversations: Sequence[Conversation], tokenizer: Any) -> list[EncodedChoice | None]:
    worse = [with_rejected(one) for one in conversations if one.rejected]
    encoded = iter(tokens.encode_answers(tokenizer, worse))
    return [next(encoded) if one.rejected else None for one in conversations]


def first(held_out: ConversationSet, seed: int, limit: int | None) -> ConversationSet:
    """Return a set with so many of its conversations, drawn by the seed; all of them where the limit is None."""
    conversations = [one for one in held_out.conversations if isinstance(one, Conversation)]
    few = subsample(conversations, seed, limit or len(conversations))
    ids = {one.id for one in few}
    kept = [number for number, one in enumerate(held_out.conversations) if one.id in ids]
    encoded, rejected = [held_out.encoded[n] for n in kept], [held_out.rejected[n] for n in kept]
    return replace(held_out, conversations=few, encoded=encoded, rejected=rejected)


def measure_losses(model: Any, held_out: ConversationSet, hardware: HardwareConfig) -> list[AnswerLoss]:
    """Measure with the model, in eval mode and in the precision that it trains in.

    Every process of a run must call it; all of them get all losses.

    Raises:
        ModelError: one conversation alone needs more memory than there is.
    """
    both = zip(held_out.encoded, held_out.rejected, strict=True)
    choices = [[better] if worse is None else [better, worse] for better, worse in both]
    scored = score(model, choices, hardware.evaluation_tokens, devices.autocast(hardware))
    rows = zip(held_out.conversations, held_out.encoded, scored.scores, scored.truncated, strict=True)
    return [
        AnswerLoss(one.id, -scores[0], len(choice.continuation), truncated, *(-score for score in scores[1:]))
        for one, choice, scores, truncated in rows
    ]


def loss_metrics(held_out: ConversationSet, rows: Sequence[AnswerLoss], of: str = "") -> dict[str, float]:
    """Return the metrics by name: loss (nats a token), perplexity, n, nan, truncated, and of pairs acc_pairs, the
    share whose better answer is the likelier one; and those of each set of a mix.

    of: what the names begin with, such as `base/`.

    Raises:
        ModelError: no loss is a number.
    """
    metrics = {f"{of}{held_out.name}/{metric}": value for metric, value in _loss(rows).items()}
    if held_out.mixed:
        for name in dict.fromkeys(set_of(row.id) for row in rows):
            own = _loss([row for row in rows if set_of(row.id) == name])
            metrics |= {f"{of}{held_out.split}/{name}/{metric}": value for metric, value in own.items()}
    return metrics


def _loss(rows: Sequence[AnswerLoss]) -> dict[str, float]:
    numbers = [row for row in rows if math.isfinite(row.nats)]
    if not numbers:
        raise ModelError(
            f"none of the losses of {len(rows)} texts is a number: the model's weights or its precision are "
            "broken. Try hardware.precision=fp32; after training, look at train/loss and grad_norm."
        )
    pairs = [row for row in rows if row.rejected is not None]
    loss = sum(row.nats for row in numbers) / sum(row.tokens for row in numbers)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),  # the largest that a float holds
        "n": len(rows),
        "nan": len(rows) - len(numbers),
        "truncated": sum(row.truncated for row in rows),
    } | ({"acc_pairs": sum(row.prefers for row in pairs) / len(pairs)} if pairs else {})


def write(path: Path, rows: Sequence[AnswerLoss]) -> None:
    """Write one JSON line a conversation; the file appears when it is complete."""
    run_folder.make(path.parent, exist_ok=True)
    lines = (json.dumps(_as_json(row)) for row in rows)
    write_text(path, "".join(f"{line}\n" for line in lines))


def _as_json(row: AnswerLoss) -> dict[str, Any]:
    """Without `rejected` where there is none, and null for what is not a number."""
    values = {name: value for name, value in asdict(row).items() if value is not None}
    broken = {name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value)}
    return values | dict.fromkeys(broken)


def recalled(path: Path, conversations: Sequence[Conversation | GeneralText]) -> list[AnswerLoss] | None:
    """Return the losses that an earlier start wrote for these conversations; None where it wrote none of them whole."""
    try:
        rows = [_row(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        rows = []
    if [row.id for row in rows] == [one.id for one in conversations]:
        return rows
    log.warning("%s is damaged or of other texts. They are measured again, and the file is replaced.", path)
    return None


def _row(row: Mapping[str, Any]) -> AnswerLoss:
    rejected = _number(row["rejected"]) if "rejected" in row else None
    return AnswerLoss(str(row["id"]), _number(row["nats"]), int(row["tokens"]), bool(row["truncated"]), rejected)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
