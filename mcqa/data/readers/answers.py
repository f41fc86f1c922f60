"""What a publisher writes as the answer, as an index into the choices.

Nothing is ever guessed: a wrong answer key makes every result wrong, and nobody notices. So `B ` is no label, a letter
is no index, and an index counts from where the format says, not from where it would fit.
"""

import re
from collections.abc import Sequence
from string import ascii_uppercase

from mcqa.config.errors import DataError

NO_ANSWER = "there is no answer"
OUT_OF_RANGE = "the numbers of the choices"


def from_label(answer: object, labels: Sequence[str]) -> int:
    """Return the index of the label, which must match exactly.

    Raises (as all functions here do):
        DataError: the answer is absent, or is not one of the choices.
    """
    _require(answer)
    if len(set(labels)) < len(labels):
        raise DataError(f"the labels {list(labels)} are not all different.")
    if answer not in labels:
        raise DataError(f"answer {answer!r} is not among the labels {list(labels)}.")
    return labels.index(str(answer))


def from_letter(answer: object, choices: Sequence[object]) -> int:
    """Return 0 for `A`; upper and lower case are the same."""
    _require(answer)
    letters = ascii_uppercase[: len(choices)]
    letter = answer.strip().upper() if isinstance(answer, str) else ""
    if len(letter) != 1 or letter not in letters:
        raise DataError(f"answer {answer!r} is not a letter from A to {letters[-1:]}.")
    return letters.index(letter)


def from_index(answer: object, choices: Sequence[object], first: int = 0) -> int:
    """Convert a whole number, or text that is one, where `first` is the first choice; -1 stands for no answer."""
    _require(answer)
    if isinstance(answer, str) and re.fullmatch(r"-?[0-9]{1,9}", answer.strip()):
        answer = int(answer)
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise DataError(f"answer {answer!r} is not a whole number.")
    if answer == -1:
        raise DataError(f"{NO_ANSWER}: it is -1.")
    last = first + len(choices) - 1
    if not first <= answer <= last:
        raise DataError(f"answer {answer} is not from {first} to {last}, {OUT_OF_RANGE}.")
    return answer - first


def from_text(answer: object, choices: Sequence[object]) -> int:
    """Return the index of the only choice that equals the answer, apart from white space around both."""
    _require(answer)
    texts = [str(choice).strip() for choice in choices]
    if not isinstance(answer, str) or answer.strip() not in texts:
        raise DataError(f"answer {answer!r} is none of the choices {texts}.")
    if texts.count(answer.strip()) > 1:
        raise DataError(f"answer {answer!r} is more than one of the choices {texts}.")
    return texts.index(answer.strip())


def from_boolean(answer: object, choices: Sequence[object]) -> int:
    """Return 0 for false and 1 for true, as JSON has them or in words; upper and lower case are the same."""
    _require(answer)
    word = answer.strip().lower() if isinstance(answer, str) else answer
    if word not in ("false", "true") and not isinstance(word, bool):
        raise DataError(f"answer {answer!r} is neither true nor false.")
    return int(word in (True, "true"))


def from_one_hot(answer: object, choices: Sequence[object]) -> int:
    """Return the place of the only 1 in a list that has 0 for every other choice."""
    _require(answer)
    if not isinstance(answer, list) or any(mark not in (0, 1) for mark in answer) or answer.count(1) != 1:
        raise DataError(f"answer {answer!r} is not a list with one 1 and otherwise 0.")
    if len(answer) != len(choices):
        raise DataError(f"answer {answer!r} has {len(answer)} marks for {len(choices)} choices.")
    return answer.index(1)


def _require(answer: object) -> None:
    if answer is None or answer != answer or (isinstance(answer, str) and not answer.strip()):  # NaN differs from NaN
        raise DataError(f"{NO_ANSWER}: it is {'absent' if answer is None else repr(answer)}.")
