"""Which columns of a file could hold which part of a question, by their names and by what is in all rows.

A name is evidence and no proof: what is built from these candidates is read before it is proposed (detection.py).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_letters
from typing import Any

from mcqa.config.schema import ColumnName
from mcqa.data.readers.columns import ABSENT, lookup, text_of

QUESTION_WORDS = (
    {"question", "questions", "stem", "q", "frage", "questionstem", "questiontext"},
    {"query", "prompt", "problem", "sentence", "goal", "text", "body", "input", "sent1", "item", "aufgabe"},
)
"""Names of the question's column; the second ones count where there is none of the first."""

ANSWER_WORDS = {
    *("answer", "answers", "ans", "key", "correct", "right", "gold", "label", "labels", "target", "solution", "cop"),
    *("decision", "antwort", "lösung", "loesung", "richtig"),
}
CHOICES_WORDS = {"choices", "options", "endings", "candidates", "alternatives", "answers", "choice", "option"}
RIGHT_NAMES = {"right", "correct", "rightanswer", "correctanswer", "bestanswer", "richtig"}
WRONG_NAMES = {
    *("wrong", "incorrect", "distractor", "wronganswer", "incorrectanswer", "falsch"),
    *("distractors", "wronganswers", "incorrectanswers"),
}
OPTIONAL_NAMES = {
    "context": {"context", "passage", "support", "article", "paragraph", "background", "story", "facts"},
    "subject": {"subject", "topic", "category", "field", "subjectname"},
    "cluster": {"cluster", "group", "passageid", "contextid"},
    "id": {"id", "qid", "questionid", "uid", "nr"},
}
MOST_FIXED = 10  # texts that an answer may be, where questions have no choices of their own
SAMPLE = 1000  # rows whose columns are looked at


def words_of(name: str) -> list[str]:
    """Return `correct`, `answer` for correct_answer, Correct Answer and correctAnswer."""
    return [word.casefold() for word in re.findall(r"[^\W\d_]+?(?=[A-Z][a-z]|[\W\d_]|$)", name)]


def plain(name: str) -> str:
    """Return a name without case, spaces and punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum())


def is_labelled(value: Any) -> bool:
    """Whether a value is certainly labels with texts: {"A": …, "B": …}, or a shape that names both."""
    if isinstance(value, dict):
        if value.keys() == {"label", "text"}:
            return isinstance(value["label"], list)
        return len(value) > 1 and all(re.fullmatch("[A-Za-z]|[0-9]{1,2}", str(label)) for label in value)
    named = ({"label", "text"}, {"key", "value"})
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) and v.keys() in named for v in value)


@dataclass(frozen=True)
class Table:
    """All rows of a file; where the columns have no names they are called 1, 2, …"""

    rows: Sequence[Mapping[str, Any]]
    has_names: bool = True

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The values of each column, in nested rows too; None where a row lacks it."""
        names = dict.fromkeys(name for row in self.rows[:SAMPLE] for name in _names(row))
        found = {name: [lookup(row, name) for row in self.rows] for name in names}
        return {name: [None if value is ABSENT else value for value in values] for name, values in found.items()}

    @cached_property
    def texts(self) -> list[str]:
        """Columns that hold a text in every row."""
        return [name for name, values in self.columns.items() if all(_is_text(value) for value in values)]

    @cached_property
    def sequences(self) -> list[list[str]]:
        """Columns whose names count: A, B, C; option1, option2; opa, opb. They hold texts, numbers or nothing."""
        groups: dict[tuple[str, str, str], dict[int, str]] = {}
        for name, values in self.columns.items():
            if all(_is_scalar(value) for value in values):
                for kind, number, rest in _marks(name):
                    groups.setdefault((kind, *rest), {}).setdefault(number, name)
        runs = []
        for (kind, *_), names in groups.items():
            first = 1 if kind == "digit" and 0 not in names else 0
            run = [names[number] for number in range(first, first + 26) if number in names]
            if len(run) > 1 and all(first + place in names for place in range(len(run))):
                runs.append(run)
        return runs

    @cached_property
    def lists(self) -> list[str]:
        """Columns that hold a list of texts or numbers in every row, other than marks of 0 and 1."""
        return [
            name for name, values in self.columns.items() if all(map(_is_choices, values)) and not _marks_only(values)
        ]

    @cached_property
    def labelled(self) -> list[str]:
        """Columns that hold labels with texts in every row."""
        return [name for name, values in self.columns.items() if all(map(is_labelled, values))]


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict) and not is_labelled(value):
            yield from (f"{name}.{inner}" for inner in _names(value))
        else:
            yield str(name)


def _marks(name: str) -> Iterator[tuple[str, int, tuple[str, str]]]:
    """Yield what may count in a name: its last letter, a letter alone at its beginning, or a number."""
    if name and name[-1] in ascii_letters:
        yield ("upper" if name[-1].isupper() else "lower"), ord(name[-1].lower()) - ord("a"), (name[:-1], "")
    elif match := re.match(r"([A-Za-z])[^A-Za-z0-9]", name):
        yield ("upper" if name[0].isupper() else "lower"), ord(name[0].lower()) - ord("a"), ("", name[1:])
    for match in re.finditer("[0-9]{1,2}", name):
        yield "digit", int(match[0]), (name[: match.start()], name[match.end() :])


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_scalar(value: Any) -> bool:
    return value is None or (isinstance(value, (str, int, float)) and not isinstance(value, bool))


def _is_choices(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(_is_scalar(one) and one is not None for one in value)


def _marks_only(values: Iterable[list[Any]]) -> bool:
    return all(one in (0, 1) for value in values for one in value)


# --- parts of a question ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choices:
    """Where the choices may be: keys of Columns, the columns that they take, and whether the name says so."""

    keys: dict[str, Any]
    taken: frozenset[str]
    named: bool


def choices_candidates(table: Table) -> list[Choices]:
    """Return where choices may be that each question has for itself."""
    found = []
    for name in (*table.labelled, *table.lists):
        found.append(Choices({"choices": name}, frozenset([name]), bool(CHOICES_WORDS & set(words_of(name)))))
    for names in table.sequences if table.has_names else []:
        keys: dict[str, Any] = {"choices": names}
        if any(_is_empty(value) for name in names for value in table.columns[name]):
            keys["empty_choices"] = "drop_trailing"
        found.append(Choices(keys, frozenset(names), True))
    return [*found, *_right_and_wrong(table)]


def _right_and_wrong(table: Table) -> Iterator[Choices]:
    rights = [name for name in table.columns if plain(name) in RIGHT_NAMES]
    wrongs: list[str | list[str]] = [name for name in table.lists if plain(name) in WRONG_NAMES]
    wrongs += [names for names in table.sequences if plain(re.sub("[0-9]+|[A-Za-z]$", "", names[0])) in WRONG_NAMES]
    for right in rights:
        for wrong in wrongs:
            names = wrong if isinstance(wrong, list) else [wrong]
            keys: dict[str, Any] = {"right": right, "wrong": wrong}
            if any(_is_empty(value) for name in names for value in table.columns[name]):
                keys["empty_choices"] = "drop_trailing"
            yield Choices(keys, frozenset([right, *names]), True)


def fixed_choices(table: Table, answer: str) -> Choices | None:
    """Return the choices that are the same for all questions, where the answer is true or false, or one of few words
    that occur again. Letters and numbers are no words: they point to choices that are elsewhere."""
    values = [value.strip() if isinstance(value, str) else value for value in table.columns[answer]]
    if all(isinstance(value, bool) or str(value).lower() in ("true", "false") for value in values):
        return Choices({"fixed_choices": ["no", "yes"], "answer_as": "boolean"}, frozenset(), True)
    if not all(_is_text(value) and re.search(r"[^\W\d_]{2}", value) for value in values):
        return None
    counts = Counter(values)
    if not 2 <= len(counts) <= MOST_FIXED or min(counts.values()) < 2:
        return None
    return Choices({"fixed_choices": sorted(counts), "answer_as": "text"}, frozenset(), True)


def printed_choices(table: Table) -> list[str]:
    """Return the columns that are named like choices and hold text, as where a table was written from lists."""
    return [name for name in table.texts if CHOICES_WORDS & set(words_of(name))]


def question_candidates(table: Table, taken: frozenset[str]) -> list[str]:
    """Return the columns that are named like a question; where there are none, all others with texts."""
    texts = [name for name in table.texts if name not in taken]
    for words in QUESTION_WORDS:
        if named := [name for name in texts if plain(name) in words or plain(name.split(".")[-1]) in words]:
            return named
    return texts


def answer_candidates(table: Table, taken: frozenset[str], named: bool) -> list[str]:
    """Return the columns that may hold the answer, either those that are named like one or the others."""
    free = [name for name in table.columns if name not in taken]
    return [name for name in free if bool(ANSWER_WORDS & set(words_of(name))) == named]


def answer_kinds(table: Table, answer: str) -> list[str]:
    """Return in which ways the answers may be written, from the plainest to the least plain."""
    values = table.columns[answer]
    kinds = {
        "label": all(isinstance(value, (str, int)) for value in values),
        "letter": _mostly(
            isinstance(value, str) and len(value.strip()) == 1 and value.strip().isalpha() for value in values
        ),
        "index": _mostly(_is_whole(value) for value in values),
        "text": _mostly(_is_text(text_of(value)) for value in values),
        "one_hot": _mostly(isinstance(value, list) for value in values),
    }
    found = [kind for kind, possible in kinds.items() if possible]
    return [*found, "index_from_one"] if "index" in found else found


def optional_columns(table: Table, taken: frozenset[str]) -> dict[str, ColumnName]:
    """Return the columns that are named like a passage, a subject, a cluster or an id, where only one is."""
    found: dict[str, ColumnName] = {}
    for key, known in OPTIONAL_NAMES.items():
        names = [name for name in table.columns if plain(name) in known and name not in taken]
        if len(names) == 1:
            found[key] = names[0]
    return found


def _mostly(matches: Iterable[bool]) -> bool:
    found = list(matches)
    return sum(found) * 2 > len(found)


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):
        return re.fullmatch(r"\s*-?[0-9]{1,9}\s*", value) is not None
    return isinstance(value, int) and not isinstance(value, bool)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
