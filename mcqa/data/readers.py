"""Read a row of each published question set, or of the user's own, as a Question.

Nothing is ever guessed: a wrong answer key makes every result wrong, and nobody notices. So `B ` is no label, a letter
is no index, and an index counts from where the format says, not from where it would fit.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import Columns
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question

NO_ANSWER = "there is no answer"
OUT_OF_RANGE = "the numbers of the choices"

# --- what a publisher writes as the answer, as an index into the choices ----------------------------------------------


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
    """Return the index of the choice that equals the answer, apart from white space around both."""
    _require(answer)
    texts = [str(choice).strip() for choice in choices]
    if not isinstance(answer, str) or answer.strip() not in texts:
        raise DataError(f"answer {answer!r} is none of the choices {texts}.")
    return texts.index(answer.strip())


def _require(answer: object) -> None:
    if answer is None or answer != answer or (isinstance(answer, str) and not answer.strip()):  # NaN differs from NaN
        raise DataError(f"{NO_ANSWER}: it is {'absent' if answer is None else repr(answer)}.")


# --- labelled choices: ARC, OpenBookQA and CommonsenseQA -------------------------------------------------------------


def read_labelled(row: dict[str, Any], stem: str = "question") -> Question:
    """Return a row whose choices carry labels and whose answer is one of the labels.

    stem: the key of the question's text in the hub's shape. The same row exists in two shapes, as on the hub and as in
    the files of the Allen Institute:

        {"question": "…", "choices": {"label": ["A", …], "text": ["…", …]}, "answerKey": "B"}
        {"question": {"stem": "…", "choices": [{"label": "A", "text": "…"}, …]}, "answerKey": "B"}

    ARC, the AI2 Reasoning Challenge (Clark et al. 2018, arXiv:1803.05457): grade-school science, an easy and a
        challenge set. Most questions have four choices, some three or five. Labels are letters or digits, as on the
        exam that a question comes from: "2" is the second choice only because its label says so.
    OpenBookQA (Mihaylov et al. 2018, arXiv:1809.02789): four choices about elementary science facts; the facts ("the
        open book") are not given here. The hub calls the question `question_stem`. Stems such as "An example of" are
        short and occur again with other choices.
    CommonsenseQA (Talmor et al. 2019, arXiv:1811.00937): five choices that stand in the same relation to one concept,
        which is not part of the question. The test split has no answers. In one question of eighty, two choices are
        equal; these are bad rows here.
    """
    nested = row.get("question")
    question = nested if isinstance(nested, dict) else row
    labels, texts = _labels_and_texts(field(question, "choices"))
    return validated_question(
        id=row.get("id"),
        question=field(question, "stem" if question is nested else stem),
        choices=texts,
        answer=from_label(row.get("answerKey"), labels),
    )


def _labels_and_texts(choices: Any) -> tuple[list[str], list[Any]]:
    if isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices):
        labels = [field(choice, "label") for choice in choices]
        texts = [field(choice, "text") for choice in choices]
    elif isinstance(choices, dict):
        labels, texts = field(choices, "label"), field(choices, "text")
    else:
        raise DataError(f"choices are {describe_value(choices)}, not labels with texts.")
    if not isinstance(labels, list) or not isinstance(texts, list) or len(labels) != len(texts):
        raise DataError(f"the labels {labels} and the texts {texts} do not match one to one.")
    if wrong := [label for label in labels if not isinstance(label, str)]:
        raise DataError(f"label {wrong[0]!r} is not text.")
    return labels, texts


# --- MMLU ------------------------------------------------------------------------------------------------------------

MMLU_LETTERS = ["A", "B", "C", "D"]
MMLU_NUMBERED = ["choice0", "choice1", "choice2", "choice3"]
MMLU_COLUMNS = ["question", *MMLU_LETTERS, "answer"]
"""The columns of the publisher's CSV files, which have no header."""


def read_mmlu(row: dict[str, Any]) -> Question:
    """Return a row of MMLU: four choices, 57 subjects from abstract algebra to world religions.

    Hendrycks et al. 2021, arXiv:2009.03300. It exists in three shapes:

        hub:        question, choices (a list), answer (an index from 0), subject
        publisher:  <subject>_<split>.csv without a header: question, A, B, C, D, the answer's letter
        with names: question, choice0 … choice3, answer (an index from 0)

    There are no ids. Files without a subject column hold one subject each, which is then in the file's name.
    """
    answer = row.get("answer")
    if "choices" in row:
        choices = row["choices"]
    else:
        choices = [field(row, name) for name in (MMLU_NUMBERED if MMLU_NUMBERED[0] in row else MMLU_LETTERS)]
    if not isinstance(choices, list):
        raise DataError(f"choices are {describe_value(choices)}, not a list.")
    return validated_question(
        id=row.get("id"),
        question=field(row, "question"),
        choices=choices,
        answer=from_letter(answer, choices) if MMLU_LETTERS[0] in row else from_index(answer, choices),
        subject=row.get("subject"),
    )


# --- the user's own --------------------------------------------------------------------------------------------------

ANSWERS: dict[str, Callable[[object, Sequence[object]], int]] = {
    "index": from_index,
    "index_from_one": partial(from_index, first=1),
    "letter": from_letter,
    "text": from_text,
}


def read_local(row: dict[str, Any], columns: Columns | None) -> Question:
    """Return a row of the user's own by the names of its columns (data.columns).

    Where each choice has a column, none may be empty: an empty cell may be a choice that does not exist or one that
    was lost, and then the letters after it would mean other choices.
    """
    assert columns is not None, "a rule of the configuration"
    choices = _local_choices(row, columns)
    return validated_question(
        id=field(row, columns.id) if columns.id else None,
        question=field(row, columns.question),
        choices=choices,
        answer=ANSWERS[columns.answer_as](field(row, columns.answer), choices),
        context=field(row, columns.context) if columns.context else None,
        # Without a column, files.split_rows has added the subject in the file's name, if there is one.
        subject=field(row, columns.subject) if columns.subject else row.get("subject"),
        cluster=field(row, columns.cluster) if columns.cluster else None,
    )


def _local_choices(row: dict[str, Any], columns: Columns) -> list[Any]:
    if isinstance(columns.choices, str):
        choices = field(row, columns.choices)
        if not isinstance(choices, list):
            raise DataError(
                f"{columns.choices!r} is {describe_value(choices)}, not a list. "
                "If each choice has a column, name them: data.columns.choices=[A,B,C,D]."
            )
        return choices
    choices = [field(row, name) for name in columns.choices]
    for name, choice in zip(columns.choices, choices, strict=True):
        if choice is None or choice == "":
            raise DataError(
                f"choice {name!r} is empty. Where questions differ in how many choices they have, keep the "
                "choices as a list in one column (JSON Lines, Parquet)."
            )
    return choices
