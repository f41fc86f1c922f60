"""Load the questions of a configuration: find and read them, collect bad rows, then split and subsample."""

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path

from mcqa.config.errors import DataError
from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import DataConfig, EvaluationConfig, SetConfig
from mcqa.data import answer_files, checks, files, hub
from mcqa.data.bad_rows import BadRow, header_advice, listed
from mcqa.data.formats import FileOptions, Rows
from mcqa.data.question import Question
from mcqa.data.readers import READERS, WITHOUT_HEADER, Reader, single_rows
from mcqa.data.readers.answers import NO_ANSWER, OUT_OF_RANGE
from mcqa.data.readers.columns import LocalReader, label_ends
from mcqa.data.splits import passage, related, split_by_hash, subsample

ENOUGH_BAD = 10_000  # of a file that is read no further, where bad rows are an error
UNLIKELY = 1e-6  # probability that no answer of a question set is its first choice

DATA_KEY = re.compile(rf"(?<![\w./=-])data\.(?=(?:{'|'.join(field.name for field in fields(DataConfig))})\b)")
"""Matches `data.` before a key of DataConfig in a message, and not in a path."""


@dataclass(frozen=True)
class Data:
    """The questions of each split, in the order train, dev, test; bad_rows and notes are messages for the user.

    first_looks: by split or further set, where evaluation.test_limit reads only some: how many, and how many it has.
    """

    splits: dict[str, list[Question]]
    bad_rows: list[str]
    notes: list[str]
    first_looks: dict[str, tuple[int, int]] = field(default_factory=dict)


def load_run_data(config: DataConfig, evaluation: EvaluationConfig, splits: Sequence[str] = SPLITS) -> Data:
    """Load the splits of data, and evaluation.sets as further splits under their names.

    Where evaluation.dev names another question set, dev comes from that one.

    Raises:
        DataError: as for `load`; a message about another set names the keys of that set.
    """
    own = [split for split in splits if split != "dev" or evaluation.dev is None]
    if config.splits.train is None and config.splits.dev is None and "test" in own and not is_single_file(config):
        own = [split for split in own if split != "dev"]  # a set to measure has only one split
    others = [(other.name, other, f"evaluation.sets[{number}]") for number, other in enumerate(evaluation.sets)]
    if evaluation.dev is not None and "dev" in splits:
        others.insert(0, ("dev", evaluation.dev, "evaluation.dev"))
    others = [
        (name, replace(other, data=as_whole(other.data)) if _is_file_apart(other, config) else other, key)
        for name, other, key in others
    ]
    data = load(config, own) if own else Data({}, [], [])
    if "test" in data.splits:
        _first_look("test", config.seed, evaluation.test_limit, data)
    for name, other, key in others:
        loaded = _load_evaluation_set(other, key)
        data.splits[name] = loaded.splits[other.split]
        data.bad_rows.extend(f"{name}: {line}" for line in loaded.bad_rows)
        data.notes.append(f"{name}: {other.split} of {other.data.name} ({other.data.licence})")
        data.notes.extend(f"{name}: {note}" for note in loaded.notes)
        if "train" in data.splits:
            data.notes.extend(_overlap_note(name, "train", data.splits))
        if other.split == "test" and name != "dev":
            _first_look(name, other.data.seed, evaluation.test_limit, data)
    order = dict.fromkeys([*SPLITS, *data.splits])
    return replace(data, splits={split: data.splits[split] for split in order if split in data.splits})


def is_single_file(config: DataConfig) -> bool:
    """Whether the questions of all splits are in one file."""
    if config.reader == "facts" or config.path is None:
        return False
    path = Path(config.path).expanduser()
    return os.path.exists(path) and files.is_one_split(path)


def as_whole(config: DataConfig) -> DataConfig:
    """Return data without a train split, so that a single file is not cut and any other split is all of it."""
    return replace(config, splits=replace(config.splits, train=None))


def _is_file_apart(other: SetConfig, config: DataConfig) -> bool:
    """Whether a further set is a file that nothing is trained on, and is therefore not cut."""
    if other.split == "train" or not is_single_file(other.data):
        return False
    return config.path is None or Path(str(other.data.path)).absolute() != Path(config.path).absolute()


def _first_look(name: str, seed: int, limit: int | None, data: Data) -> None:
    """Keep `limit` questions of a split or set, if it has more, and say so."""
    questions = data.splits[name]
    if limit is not None and limit < len(questions):
        data.splits[name] = subsample(questions, seed, limit)
        data.first_looks[name] = limit, len(questions)
        data.notes.append(f"{name}: a first look at {limit} of {_count(questions)} (evaluation.test_limit)")


def _load_evaluation_set(other: SetConfig, key: str) -> Data:
    """Messages and notes about this set name its keys (`key`.path) instead of those of data (data.path)."""
    try:
        loaded = load(other.data, [other.split])
    except DataError as error:
        text = DATA_KEY.sub(f"{key}.", str(error))
        raise DataError(text if text.startswith(key) else f"{key}: {text}") from error
    return replace(loaded, notes=[DATA_KEY.sub(f"{key}.", note) for note in loaded.notes])


def load(config: DataConfig, splits: Sequence[str] = SPLITS) -> Data:
    """Load the given splits, each as it would be if all were loaded; files of other splits are not read.

    Raises:
        DataError: data is missing or cannot be read, a split is null or has no question left, or there are bad rows
            and data.bad_rows is error.
    """
    data = Data({}, [], [])
    read = cache(partial(_read_published, config, data))  # train and a dev that is held out from it are one reading
    try:
        for split in SPLITS:
            if split in splits:
                data.splits[split] = _load_split(config, split, read, data.notes)
    except PermissionError as error:
        raise DataError(f"data.path={config.path}: {error.filename} may not be read by this user.") from error
    except OSError as error:  # of the folder; those of its files are DataErrors
        raise DataError(f"data.path={config.path}: {error.filename}: {error.strerror or error}.") from error
    for split, other in (("dev", "train"), ("test", "train"), ("test", "dev")):
        if split in data.splits and other in data.splits:
            data.notes.extend(_overlap_note(split, other, data.splits))
    return data


def load_texts(config: DataConfig) -> list[str]:
    """Read the sentences of data.texts for objective=pretrain; an empty list where it is null.

    Raises:
        DataError: the file does not exist, is not UTF-8 text or is empty.
    """
    if config.texts is None:
        return []
    if config.texts == "facts":
        from mcqa.data import facts

        return facts.statements()
    try:
        text = files.locate("data.texts", config.texts).read_text("utf-8-sig")
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"data.texts={config.texts}: {reason}. Give `facts` or a text file.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.texts={config.texts}: not UTF-8 text (byte {error.start}).") from error
    if "\0" in text:
        raise DataError(f"data.texts={config.texts}: contains a NUL character. Was the file saved as UTF-16?")
    lines = [line.strip() for line in text.splitlines()]
    if not any(lines):
        raise DataError(f"data.texts={config.texts}: the file has no text in it.")
    return [line for line in lines if line]


# --- one split -------------------------------------------------------------------------------------------------------


def _load_split(
    config: DataConfig, split: str, read: Callable[[str | None], list[Question]], notes: list[str]
) -> list[Question]:
    """One of our splits: a split of the publisher, or a part of its train split or of the only file."""
    share, whole = {"dev": config.dev_fraction}, ""
    if is_single_file(config) and config.splits.train is None and split != "train":
        questions = read(None)
        notes.append(f"{split}: {_count(questions)}, all of {Path(config.path or '').name}")
    elif is_single_file(config) and config.splits.train is not None:
        every, source = read(None), Path(config.path or "").name
        share |= {"test": config.dev_fraction}  # as large a share as dev
        questions, whole = split_by_hash(every, config.seed, share, config.split_by)[split], _kept_whole(every, config)
        notes.append(f"{split}: {len(questions)} of {_count(every)} in {source}, a file without splits{whole}")
    elif split == "test" or config.splits.dev is not None:
        questions = read(_published_name(config, split))
    else:
        every = read(_published_name(config, "train"))
        questions, whole = split_by_hash(every, config.seed, share, config.split_by)[split], _kept_whole(every, config)
        if split == "dev":
            notes.append(f"dev: {_count(questions)} held out from train{whole}")
    if not questions:
        raise DataError(f"{split}: no question is left after splitting; see data.dev_fraction and data.splits{whole}.")
    if split == "train" and config.limit is not None:
        notes.append(f"train: {min(config.limit, len(questions))} of {_count(questions)} sampled (data.limit)")
        questions = subsample(questions, config.seed, config.limit)
    return questions


def _kept_whole(questions: list[Question], config: DataConfig) -> str:
    """Say what was not cut apart; nothing where no two questions are related, or they were cut one by one."""
    groups = Counter(related(question) for question in questions)
    shared = sum(bool(group) and count > 1 for group, count in groups.items())
    if config.split_by == "question" or not shared:
        return ""
    wholes = "one cluster or passage stays" if shared == 1 else f"{shared} clusters or passages stay"
    return f"; {wholes} whole (data.split_by)"


def _published_name(config: DataConfig, split: str) -> str:
    name: str | None = getattr(config.splits, split)
    if name is None:
        use = " It is for measuring: evaluation.sets, or mcqa.evaluate." if config.splits.train is None else ""
        raise DataError(f"data.splits.{split} is null: data={config.name} has no such split.{use}")
    return name


def _read_published(config: DataConfig, data: Data, split: str | None) -> list[Question]:
    """All good questions of a split of the publisher, or (None) of the only file; bad rows and notes go to data."""
    if config.reader == "facts":
        from mcqa.data import facts

        if split not in SPLITS:
            raise DataError(f"data.splits: data=facts has train, dev and test, not {split!r}.")
        return facts.questions(split)
    read: Reader = READERS.get(config.reader) or LocalReader(config.columns)
    good: list[tuple[str, Question]] = []
    bad: list[BadRow] = []
    advice = ""
    for where, row in single_rows(_rows(config, split, data.notes), config.reader):
        try:
            if isinstance(row, DataError):
                raise row
            question = read(row)
            checks.check_equal_choices(question, config.equal_choices)
            good.append((where, question))
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
    data.bad_rows.extend(map(str, bad))
    data.notes.extend(_reading_notes(split or Path(config.path or "").name, questions, bad, doubt))
    return questions


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


def _doubt_about_numbers(config: DataConfig, questions: list[Question]) -> str:
    """A sentence where so many answers would by chance not all miss a choice, as they do if they count from the wrong
    number."""
    counts_from = {"index": 0, "index_from_one": 1}.get(config.columns.answer_as if config.columns else "")
    if counts_from is None or math.prod(1 - 1 / len(question.choices) for question in questions) > UNLIKELY:
        return ""
    if counts_from == 0 and not any(question.answer == 0 for question in questions):
        return "no right answer is the first choice; do the answers count from one (data.columns.answer_as)?"
    if counts_from == 1 and not any(question.answer == len(question.choices) - 1 for question in questions):
        return "no right answer is the last choice; do the answers count from zero (data.columns.answer_as)?"
    return ""


def _raise_if_unusable(
    config: DataConfig, split: str | None, questions: list[Question], bad: list[BadRow], doubt: str, advice: str
) -> None:
    """Raise where bad rows are not to be skipped, or no good ones are left, or all answers count from elsewhere."""
    misnumbered = doubt and any(OUT_OF_RANGE in row.problem for row in bad)
    if questions and (not bad or (config.bad_rows == "skip" and not misnumbered)):
        return
    source = f"{config.path or config.hub}{f'[{split}]' if split else ''}"
    if not bad:
        raise DataError(f"{source}: is empty.")
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
    raise DataError("\n".join(lines))


# --- notes -----------------------------------------------------------------------------------------------------------


def _reading_notes(name: str, questions: list[Question], bad: list[BadRow], doubt: str) -> Iterator[str]:
    if doubt:
        yield f"{name}: {doubt}"
    if bad:
        yield f"{name}: {len(bad)} of {len(questions) + len(bad)} rows skipped as bad"
    if equal := sum(map(checks.has_equal_choices, questions)):
        yield f"{name}: {equal} of {_count(questions)} have equal choices, and are kept (data.equal_choices)"
    if spaced := sum(map(checks.has_outer_space, questions)):
        yield f"{name}: {spaced} of {_count(questions)} have white space around their texts, which is kept"
    if duplicates := len(questions) - len({question.content for question in questions}):
        yield f"{name}: {duplicates} of {_count(questions)} are duplicates, and are kept"
    if questions and all(label_ends(question.choices) for question in questions):
        yield (
            f"{name}: every choice begins with its letter or number, as in {questions[0].choices[0][:20]!r}, which is "
            "kept (data.columns.strip_labels=true removes it)"
        )


def _overlap_note(split: str, other: str, splits: dict[str, list[Question]]) -> Iterator[str]:
    """What two splits share: questions, and clusters and passages, which tell as much about an answer."""
    if count := checks.count_overlap(splits[split], splits[other]):
        yield f"{split}: {count} of {_count(splits[split])} also occur in {other} (choices may differ)"
    clusters, passages = ({key(question) for question in splits[other]} - {""} for key in (related, passage))
    if count := sum(related(one) in clusters or passage(one) in passages for one in splits[split]):
        yield (
            f"{split}: {count} of {_count(splits[split])} have a passage or cluster that {other} has too; accuracy on "
            "them says little about other passages"
        )


def _count(questions: list[Question]) -> str:
    return f"{len(questions)} question{'' if len(questions) == 1 else 's'}"
