"""Read one split as its publisher has it, or the only file: every row becomes a question or a conversation.

A row that cannot be used becomes a message with its place.
"""

import math
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import GENERATED, DataConfig
from mcqa.data import answer_files, checks, files, hub
from mcqa.data.bad_rows import BadRow, header_advice, listed
from mcqa.data.conversations.conversation import Entry, counted
from mcqa.data.formats import FileOptions, Rows
from mcqa.data.question import Question
from mcqa.data.readers import READERS, WITHOUT_HEADER, single_rows
from mcqa.data.readers.answers import NO_ANSWER, OUT_OF_RANGE
from mcqa.data.readers.columns import LocalReader, label_ends
from mcqa.data.readers.conversations import CONVERSATIONS

ENOUGH_BAD = 10_000  # of a file that is read no further, where bad rows are an error
UNLIKELY = 1e-6  # probability that no answer of a question set is its first choice


def published_name(config: DataConfig, split: str) -> str:
    """Return what the publisher calls one of our splits.

    Raises:
        DataError: the set has no such split.
    """
    name: str | None = getattr(config.splits, split)
    if name is None:
        use = " It is for measuring: evaluation.sets, or mcqa.evaluate." if config.splits.train is None else ""
        raise DataError(f"data.splits.{split} is null: {config.name} has no such split.{use}")
    return name


def read_published(config: DataConfig, split: str | None, notes: list[str], bad_rows: list[str]) -> list[Entry]:
    """Return all good questions of a split of the publisher, or (None) of the only file.

    notes, bad_rows: messages for the user are added to them.

    Raises:
        DataError: the rows cannot be read, none can be used, or some cannot and data.bad_rows is error.
    """
    if config.reader in GENERATED:
        return [*_generated(config.reader, split)]
    read = _reader(config)
    good: list[tuple[str, Entry]] = []
    bad: list[BadRow] = []
    advice = ""
    for where, row in single_rows(_rows(config, split, notes), config.reader):
        try:
            if isinstance(row, DataError):
                raise row
            entry = read(row)
            if isinstance(entry, Question):
                checks.check_equal_choices(entry, config.equal_choices)
            good.append((where, entry))
        except DataError as error:
            bad.append(BadRow(where, str(error)))
            if len(bad) == 1 and isinstance(row, dict) and config.header:
                advice = header_advice(where, row, config.columns)
        except RecursionError:  # a value so deep that a message cannot quote it
            bad.append(BadRow(where, "is nested too deeply."))
        if config.bad_rows == "error" and len(bad) == ENOUGH_BAD:
            break
    questions, clashes = checks.assign_ids(good)
    bad += [BadRow(*clash) for clash in clashes]
    doubt = _doubt_about_numbers(config, questions)
    _raise_if_unusable(config, split, questions, bad, doubt, advice)
    if isinstance(read, LocalReader):
        read.check_optional()
    bad_rows.extend(map(str, bad))
    name = split or Path(config.path or "").name
    repeats_stay = split != "train" or "duplicates" not in config.clean
    notes.extend(_reading_notes(name, questions, bad, doubt, repeats_stay))
    if config.conversations and config.conversations.questions:
        told = sum(isinstance(entry, Question) for entry in questions)
        notes.append(
            f"{name}: {told} of {len(questions)} conversations are read as questions (data.conversations.questions)"
        )
    return questions


def _generated(reader: str, split: str | None) -> list[Question]:
    from mcqa.data import facts, new_facts

    names = new_facts.SPLITS if reader == "new_facts" else SPLITS
    if split is None or split not in names:
        raise DataError(f"data.splits: data={reader} has {', '.join(names[:-1])} and {names[-1]}, not {split!r}.")
    return new_facts.questions(split) if reader == "new_facts" else facts.questions(split)


def _reader(config: DataConfig) -> Callable[[dict[str, Any]], Entry]:
    if (reader := CONVERSATIONS.get(config.reader)) is not None:
        columns = config.conversations
        assert columns is not None, "a rule of the configuration"
        return lambda row: reader(row, columns)
    return READERS.get(config.reader) or LocalReader(config.columns)


def _rows(config: DataConfig, split: str | None, notes: list[str]) -> Rows:
    if config.path is None:
        assert split is not None
        return hub.read_rows(config, split)
    path = files.existing_path(config.path)
    chosen, unread = (files.files_of(path), []) if split is None else files.find_split_files(path, split)
    if unread:
        notes.append(f"{split}: read from {chosen[0].name}, and not from {unread[0].name} beside it")
    rows = files.split_rows(chosen, split, _file_options(config), notes)
    if config.answers is None:
        return rows
    assert config.columns is not None and config.columns.answer is not None, "a rule of the configuration"
    answers = answer_files.answers_path(path, config.answers, split)
    return answer_files.with_answers(rows, answers, config.columns.answer)


def _file_options(config: DataConfig) -> FileOptions:
    names = WITHOUT_HEADER.get(config.reader, ())
    return FileOptions(config.header, config.delimiter, config.encoding, config.sheet, names)


def _doubt_about_numbers(config: DataConfig, entries: list[Entry]) -> str:
    """A sentence where so many answers would by chance not all miss a choice, as they do if they count from the wrong
    number."""
    questions = [entry for entry in entries if isinstance(entry, Question)]
    counts_from = {"index": 0, "index_from_one": 1}.get(config.columns.answer_as if config.columns else "")
    if counts_from is None or math.prod(1 - 1 / len(question.choices) for question in questions) > UNLIKELY:
        return ""
    if counts_from == 0 and not any(question.answer == 0 for question in questions):
        return "no right answer is the first choice; do the answers count from one (data.columns.answer_as)?"
    if counts_from == 1 and not any(question.answer == len(question.choices) - 1 for question in questions):
        return "no right answer is the last choice; do the answers count from zero (data.columns.answer_as)?"
    return ""


def _raise_if_unusable(
    config: DataConfig, split: str | None, questions: list[Entry], bad: list[BadRow], doubt: str, advice: str
) -> None:
    """Raise where bad rows are not to be skipped, or no good ones are left, or all answers count from elsewhere."""
    misnumbered = doubt and any(OUT_OF_RANGE in row.problem for row in bad)
    if questions and (not bad or (config.bad_rows == "skip" and not misnumbered)):
        return
    source = f"{config.path or config.hub}{f'[{split}]' if split else ''}"
    if not bad:
        raise DataError(f"{source}: has no rows.")
    of = "of the first" if len(bad) >= ENOUGH_BAD else "of"
    lines = [f"{source}: {len(bad)} {of} {len(questions) + len(bad)} rows cannot be used:"]
    lines += listed(bad)
    if all(NO_ANSWER in row.problem for row in bad):
        lines.append("Is this the test split without public answers?")
    if misnumbered:
        lines.append(f"In the other rows {doubt}")
    if advice:
        lines.append(advice)
    elif questions and not misnumbered:
        lines.append("data.bad_rows=skip leaves them out and counts them.")
    if config.reader == "local" and config.path is not None and not questions:
        lines.append(f"python -m mcqa.inspect {shlex.quote(config.path)} shows what it holds and which keys read it.")
    raise DataError("\n".join(lines))


def _reading_notes(name: str, entries: list[Entry], bad: list[BadRow], doubt: str, repeats_stay: bool) -> Iterator[str]:
    questions = [entry for entry in entries if isinstance(entry, Question)]
    if doubt:
        yield f"{name}: {doubt}"
    if bad:
        yield f"{name}: {len(bad)} of {len(entries) + len(bad)} rows skipped as bad"
    if equal := sum(map(checks.has_equal_choices, questions)):
        yield f"{name}: {equal} of {counted(questions)} have equal choices, and are kept (data.equal_choices)"
    if spaced := sum(map(checks.has_outer_space, questions)):
        yield f"{name}: {spaced} of {counted(questions)} have white space around their texts, which is kept"
    if repeats_stay and (duplicates := len(entries) - len({entry.content for entry in entries})):
        yield f"{name}: {duplicates} of {counted(entries)} are duplicates, and are kept"
    if questions and all(label_ends(question.choices) for question in questions):
        yield (
            f"{name}: every choice begins with its letter or number, as in {questions[0].choices[0][:20]!r}, which is "
            "kept (data.columns.strip_labels=true removes it)"
        )
