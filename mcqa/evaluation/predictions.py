"""Predictions: the scores that a model gives the choices of a question, and the file that stores them."""

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError, FileError
from mcqa.data.question import Question
from mcqa.runs import run_folder
from mcqa.runs.files import retry_stalled_io, write_text

log = logging.getLogger(__name__)

REQUIRED = ("id", "question", "choices", "answer", "scores", "lengths")  # keys of every line of a file


@dataclass(frozen=True)
class OptionOrder:
    """Scores (nats) under one order of the options: order[i] is the choice at letter i, scores[i] that letter's."""

    order: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def choice(self) -> int | None:
        """The choice at the letter with the highest score; None where a score is not a number."""
        letter = best_choice(self.scores)
        return None if letter is None else self.order[letter]


@dataclass(frozen=True)
class Prediction:
    """One question with the summed log-probability (nats) and the number of scored tokens of each choice.

    letters: the letters were scored and not the choices' texts, so lengths are those of a letter.
    measured_texts: what acc_norm and acc_bytes take the length of, where it is neither the choices nor their letters.
    unconditional: the choices' scores without prompt and question, where they were measured.
    choices_only: their scores with the question removed from the prompt, where they were measured.
    orders: the scores under several orders of the options, the given order first; empty where only that was measured.
    truncated: the question was longer than the model's context and lost its beginning.
    too_long: a choice does not fit into the model's context and was not measured; its score is NaN.
    """

    question: Question
    scores: tuple[float, ...]
    tokens: tuple[int, ...]
    letters: bool = False
    unconditional: tuple[float, ...] | None = None
    choices_only: tuple[float, ...] | None = None
    orders: tuple[OptionOrder, ...] = ()
    truncated: bool = False
    too_long: bool = False
    measured_texts: tuple[str, ...] = ()

    @property
    def prediction(self) -> int | None:
        """The choice with the highest score, the first of them in a tie; None where a score is not a number."""
        return best_choice(self.scores)

    @property
    def correct(self) -> bool:
        return self.prediction == self.question.answer

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts whose characters and bytes divide the scores: what is scored, without the space before it."""
        if self.measured_texts:
            return self.measured_texts
        return tuple(ascii_uppercase[: len(self.scores)]) if self.letters else self.question.choices

    @property
    def measured_orders(self) -> tuple[OptionOrder, ...]:
        """The orders that were measured, the given one first: it alone where no others were."""
        return self.orders or (OptionOrder(tuple(range(len(self.scores))), self.scores),)

    def as_row(self) -> dict[str, Any]:
        """Return the prediction as one JSON object of the file; what was not measured is absent."""
        question = self.question
        row = {
            "id": question.id,
            "question": question.question,
            "choices": list(question.choices),
            "answer": question.answer,
            "prediction": self.prediction,
            "correct": self.correct,
            "scores": _to_json(self.scores),
            "lengths": {
                "characters": [len(text) for text in self.texts],
                "bytes": [len(text.encode()) for text in self.texts],
                "tokens": list(self.tokens),
            },
        }
        optional = {
            "context": question.context,
            "subject": question.subject,
            "cluster": question.cluster,
            "retrieved": list(question.retrieved),
            "letters": self.letters,
            "measured_texts": list(self.measured_texts),
            "unconditional": _to_json(self.unconditional or ()),
            "choices_only": _to_json(self.choices_only or ()),
            "truncated": self.truncated,
            "too_long": self.too_long,
            "orders": [{"order": list(order.order), "scores": _to_json(order.scores)} for order in self.orders],
        }
        return row | {key: value for key, value in optional.items() if value}


def best_choice(scores: Sequence[float]) -> int | None:
    """Return the index of the highest score, the first in a tie; None where one of them is not a number."""
    return None if any(map(math.isnan, scores)) else max(range(len(scores)), key=scores.__getitem__)


def write(path: Path, rows: Sequence[Prediction]) -> None:
    """Write one JSON line a question; the file appears when it is complete."""
    run_folder.make(path.parent, exist_ok=True)
    write_text(path, "".join(json.dumps(row.as_row(), ensure_ascii=False) + "\n" for row in rows))


def read(path: Path, run: str | None = None) -> list[Prediction]:
    """Read the predictions of a file and check that they are whole and possible.

    run: the finished run that the file belongs to, for the advice to measure it again.

    Raises:
        FileNotFoundError: there is no such file.
        FileError: the file cannot be read.
        DataError: the file is empty or damaged; the message has line and problem.
    """
    try:
        content = retry_stalled_io(path.read_bytes)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}. Is it a file that you may read?") from error
    try:  # lines end with \n: str.splitlines would also split at U+2028
        rows = [_parse(line, number) for number, line in enumerate(content.removesuffix(b"\n").split(b"\n"), 1)]
        if len({row.question.id for row in rows}) < len(rows):
            raise ValueError("two lines have the same question id")
        return rows
    except ValueError as error:
        problem = str(error) if content else "it is empty"
    advice = f"measure again: python -m mcqa.evaluate run={run}" if run else "delete it to have it measured again"
    raise DataError(f"{path}: {problem}. The file is damaged or was changed; {advice}")


def recalled(path: Path, questions: Sequence[Question]) -> list[Prediction] | None:
    """Return the predictions that an earlier start wrote for these questions.

    None where there is no such file, or it is damaged or of other questions, which is warned of: measure again.

    Raises:
        FileError: the file cannot be read.
    """
    try:
        rows = read(path)
        if [row.question for row in rows] == list(questions):
            return rows
        problem = f"{path}: its {len(rows)} lines are not the {len(questions)} questions of the split, in their order."
    except FileNotFoundError:
        return None
    except DataError as error:
        problem = str(error).partition(" The file is damaged")[0]
    log.warning("%s They are measured again, and the file is replaced.", problem)
    return None


def _parse(line: bytes, number: int) -> Prediction:
    """Raises ValueError with the number of the line and its first problem."""
    if not line.strip():
        raise ValueError(f"line {number} is blank")
    try:
        row = json.loads(line, parse_constant=_constant)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is not a JSON object")
    if missing := [name for name in REQUIRED if name not in row]:
        raise ValueError(f"line {number} lacks {', '.join(missing)}")
    try:
        prediction = _prediction(row)
        problem = next(_problems(prediction), None)
    except (AttributeError, KeyError, TypeError, OverflowError):
        problem = "a value has the wrong type"
    if problem:
        raise ValueError(f"line {number}: {problem}")
    return prediction


def _prediction(row: dict[str, Any]) -> Prediction:
    texts = {name: row[name] for name in ("context", "subject", "cluster") if name in row}
    retrieved = tuple(row.get("retrieved", ()))
    return Prediction(
        Question(row["id"], row["question"], tuple(row["choices"]), row["answer"], **texts, retrieved=retrieved),
        _from_json(row["scores"]),
        tuple(row["lengths"]["tokens"]),
        row.get("letters", False),
        unconditional=_from_json(row["unconditional"]) if "unconditional" in row else None,
        choices_only=_from_json(row["choices_only"]) if "choices_only" in row else None,
        orders=tuple(OptionOrder(tuple(one["order"]), _from_json(one["scores"])) for one in row.get("orders", ())),
        measured_texts=tuple(row.get("measured_texts", ())),
        truncated=row.get("truncated", False),
        too_long=row.get("too_long", False),
    )


def _to_json(scores: Sequence[float]) -> list[float | None]:
    """JSON has no NaN; null stands for it."""
    return [None if math.isnan(score) else score for score in scores]


def _constant(name: str) -> float:
    """Python's json reads NaN and Infinity too, which are no JSON; a score of minus infinity is written so."""
    return {"-Infinity": -math.inf}.get(name, math.inf)


def _from_json(scores: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if score is None else float(score) if _is_whole(score) else score for score in scores)


def _problems(row: Prediction) -> Iterator[str]:
    """Yield what no measurement writes."""
    question, choices = row.question, len(row.question.choices)
    texts = (question.id, question.question, question.context, question.subject, question.cluster)
    if not all(isinstance(text, str) for text in texts):
        yield "id, question, context, subject and cluster must be strings"
    if not all(isinstance(choice, str) for choice in question.choices):
        yield "choices must be strings"
    if not all(isinstance(passage, str) for passage in question.retrieved):
        yield "retrieved must be strings"
    if choices < 2:
        yield f"{choices} choices; at least two are needed"
    if not _is_whole(question.answer) or not 0 <= question.answer < choices:
        yield f"answer {question.answer!r} is none of its {choices} choices"
    yield from _score_problems("scores", row.scores, choices)
    if len(row.tokens) != choices or not all(_is_whole(tokens) and tokens >= 0 for tokens in row.tokens):
        yield f"lengths.tokens must be {choices} whole numbers, one for each choice"
    measured = row.measured_texts
    if measured and (len(measured) != choices or not all(isinstance(text, str) for text in measured)):
        yield f"measured_texts must be {choices} strings, one for each choice"
    for name, scores in (("unconditional", row.unconditional), ("choices_only", row.choices_only)):
        if scores is not None:
            yield from _score_problems(f"{name} scores", scores, choices)
    for order in row.orders:
        if not all(map(_is_whole, order.order)) or sorted(order.order) != list(range(choices)):
            yield f"the order {list(order.order)} does not name each of {choices} choices once"
        yield from _score_problems("scores of an order", order.scores, choices)


def _score_problems(name: str, scores: Sequence[Any], choices: int) -> Iterator[str]:
    if len(scores) != choices:
        yield f"{len(scores)} {name} for {choices} choices"
    if wrong := [score for score in scores if not isinstance(score, float) and not _is_whole(score)]:
        yield f"{name} must be numbers, not {wrong[0]!r}"
    elif wrong := [score for score in scores if score > 1]:  # rounding gives a little more than 0
        yield f"{name} must be logarithms of probabilities, not {wrong[0]!r}"


def _is_whole(value: Any) -> bool:
    """bool is a subclass of int."""
    return isinstance(value, int) and not isinstance(value, bool)
