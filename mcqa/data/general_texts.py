"""General text: a share of it is read again while new facts are learned (replay), and forgetting is measured on it.

A part is held out of replay, by hash, so that it is the same for every share, seed and objective. Replay of a tenth
is what continued pre-training on few documents takes (EntiGraph, Yang et al. 2024, arXiv:2409.07431).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mcqa.config.errors import DataError
from mcqa.config.schema import Config, DataConfig
from mcqa.data.mixture import drawn_from
from mcqa.data.texts import load_texts

HELD_OUT = 10  # one text of so many
MOST_HELD_OUT = 200


@dataclass(frozen=True)
class GeneralText:
    """A text that forgetting is measured on."""

    id: str
    text: str


@dataclass(frozen=True)
class General:
    """The texts of data.general_texts: those that are held out, and those that replay may draw. None is in both."""

    held_out: list[GeneralText] = field(default_factory=list)
    for_replay: list[str] = field(default_factory=list)


def load_general_texts(config: DataConfig) -> list[str]:
    """Read the texts of data.general_texts as those of data.texts are read, all phrasings of embedded facts.

    Raises:
        DataError: as for `load_texts`; its message names data.general_texts.
    """
    try:
        return load_texts(replace(config, texts=config.general_texts, paraphrases=None, paraphrase_columns=None))
    except DataError as error:
        raise DataError(str(error).replace("data.texts", "data.general_texts")) from error


def divided(texts: Sequence[str], trained: Sequence[str]) -> General:
    """Return the texts, each once, in the two parts. Nothing that is trained on anyway is held out.

    trained: the texts of data.texts, where the objective reads them.

    Raises:
        DataError: no text is left to hold out.
    """
    unique, known = list(dict.fromkeys(texts)), set(trained)
    by_hash = sorted((_hash(text), text) for text in unique if text not in known)
    held_out = dict(by_hash[: min(MOST_HELD_OUT, math.ceil(len(unique) / HELD_OUT))])
    if not held_out:
        raise DataError(
            f"data.general_texts: all {len(unique)} texts are in data.texts too, so that forgetting could be measured "
            "on none; name other text."
        )
    chosen = set(held_out.values())
    return General(
        [GeneralText(key[:16], text) for key, text in held_out.items()],
        [text for text in unique if text not in chosen],
    )


def _hash(text: str) -> str:
    return hashlib.sha256(f"general\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Replay:
    """What replay draws: so large a share of the training examples of an epoch, from these texts. seed: of the draw."""

    texts: Sequence[str]
    share: float
    seed: int

    def count(self, examples: int) -> int:
        """Return how many general examples an epoch has beside its own ones, at least one."""
        return max(1, round(examples * self.share / (1 - self.share)))

    def epoch(self, windows: int, examples: int, number: int) -> list[int]:
        """Return the numbers of the windows that an epoch (from 0) draws; none again before all have been drawn."""
        count = self.count(examples)
        names = [str(window) for window in range(windows)]
        return [int(name) for name in drawn_from(names, count * number, count, f"replay\n{self.seed}")]


def replay_of(config: Config, general: General) -> Replay | None:
    """Return what objective.replay_share says; None without it.

    Raises:
        DataError: there is no text beside the one that is held out.
    """
    if (share := config.objective.replay_share) is None:
        return None
    if not general.for_replay:
        raise DataError(
            "data.general_texts: has a single text, which is held out to measure forgetting on, so that "
            "objective.replay_share has nothing to draw; give it more texts, or cut the text into several."
        )
    return Replay(general.for_replay, share, config.question_order_seed)
