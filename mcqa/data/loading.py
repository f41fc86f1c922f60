"""From a DataConfig to Questions: where they lie, who reads them, which are bad, what is cut and drawn."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError, nearest
from mcqa.config.schema import DataConfig, EvaluationConfig, SetConfig
from mcqa.data import checks, files, hub
from mcqa.data.formats import Rows
from mcqa.data.question import Question
from mcqa.data.readers import arc, commonsenseqa, local, mmlu, openbookqa
from mcqa.data.readers.answer_keys import NO_ANSWER
from mcqa.data.splits import split_by_hash, subsample

Reader = Callable[[dict[str, Any]], Question]

READERS: dict[str, Reader] = {
    "arc": arc.read,
    "openbookqa": openbookqa.read,
    "commonsenseqa": commonsenseqa.read,
    "mmlu": mmlu.read,
}
"""Readers that need nothing but a row; `local` needs its columns, and `facts` has no rows."""

SPLITS = ("train", "dev", "test")


SHOWN = 10  # bad rows in an error


KEY = re.compile(rf"(?<![\w./=-])data\.(?=(?:{'|'.join(field.name for field in fields(DataConfig))})\b)")
"""A key of data where a message names it, and not in a path."""


@dataclass(frozen=True)
class Data:
    """splits are in the order train, dev, test; bad_rows and notes are lines for people."""

    splits: dict[str, list[Question]]
    bad_rows: list[str]
    notes: list[str]


def load(config: DataConfig, wanted: Sequence[str] = SPLITS) -> Data:
    """The wanted splits, each as it would be if all were wanted; what only others need is not read.

    Raises:
        DataError: something is missing or cannot be read; bad rows where data.bad_rows is error; a wanted
            split is null or has no question left.
    """
    try:
        return _load(config, wanted)
    except PermissionError as error:
        raise DataError(f"data.path={config.path}: {error.filename} may not be read by this user.") from error


def load_for(config: DataConfig, evaluation: EvaluationConfig, wanted: Sequence[str] = SPLITS) -> Data:
    """`load`, with another set's dev where evaluation.dev says so, and evaluation.sets as further splits by name.

    Raises:
        DataError: as `load` does, by the keys of the set that it is about.
    """
    own = [split for split in wanted if split != "dev" or evaluation.dev is None]
    further = [(one.name, one, f"evaluation.sets[{number}]") for number, one in enumerate(evaluation.sets)]
    if evaluation.dev is not None and "dev" in wanted:
        further.insert(0, ("dev", evaluation.dev, "evaluation.dev"))
    data = load(config, own) if own else Data({}, [], [])
    for name, one, where in further:
        found = _further(one, where)
        data.splits[name] = found.splits[one.split]
        data.bad_rows.extend(f"{name}: {line}" for line in found.bad_rows)
        data.notes.append(f"{name}: {one.split} of {one.data.name} ({one.data.licence})")
        data.notes.extend(f"{name}: {note}" for note in found.notes)
        if "train" in data.splits and (count := checks.shared(data.splits[name], data.splits["train"])):
            data.notes.append(f"{name}: {count} of {_count(data.splits[name])} stand in train too (choices may differ)")
    order = [*SPLITS, *data.splits]
    return replace(data, splits={split: data.splits[split] for split in dict.fromkeys(order) if split in data.splits})


def _further(one: SetConfig, where: str) -> Data:
    """The data of a further set, whose messages and notes name its own keys and not those of data."""
    try:
        found = load(one.data, [one.split])
    except DataError as error:
        text = KEY.sub(f"{where}.", str(error))
        raise DataError(text if text.startswith(where) else f"{where}: {text}") from error
    return replace(found, notes=[KEY.sub(f"{where}.", note) for note in found.notes])


def _load(config: DataConfig, wanted: Sequence[str]) -> Data:
    data = Data({}, [], [])
    read = cache(partial(_published, config, data))  # train and the dev cut from it: one reading
    for split in SPLITS:
        if split in wanted:
            data.splits[split] = _split(config, split, read, data.notes)
    data.notes.extend(_shared(data.splits))
    return data


def _split(
    config: DataConfig, split: str, read: Callable[[str | None], list[Question]], notes: list[str]
) -> list[Question]:
    """One of our splits: what the publisher calls so, or its part of train or of the only file."""
    share = {"dev": config.dev_fraction}
    if _is_file(config):
        whole, source = read(None), Path(config.path or "").name
        questions = split_by_hash(whole, config.seed, share | {"test": config.dev_fraction})[split]
        notes.append(f"{split}: {len(questions)} of {_count(whole)} in {source}, a file without splits")
    elif split == "test" or config.splits.dev is not None:
        questions = read(_named(config, split))
    else:
        questions = split_by_hash(read(_named(config, "train")), config.seed, share)[split]
        if split == "dev":
            notes.append(f"dev: {_count(questions)} cut from train")
    if not questions:
        raise DataError(f"{split}: no question is left after cutting; see data.dev_fraction and data.splits.")
    if split == "train" and config.limit is not None:
        notes.append(f"train: {min(config.limit, len(questions))} of {_count(questions)} drawn (data.limit)")
        questions = subsample(questions, config.seed, config.limit)
    return questions


def _is_file(config: DataConfig) -> bool:
    """A single file has no splits, and all of them are cut from it; test gets as much as dev."""
    return config.reader != "facts" and config.path is not None and files.existing(config.path).is_file()


def _named(config: DataConfig, split: str) -> str:
    published: str | None = getattr(config.splits, split)
    if published is None:
        raise DataError(f"data.splits.{split} is null: data={config.name} has no such split.")
    return published


def _published(config: DataConfig, data: Data, split: str | None) -> list[Question]:
    """All good questions of a split of the publisher, or (None) of the only file."""
    if config.reader == "facts":
        return _facts(split)
    read, good, bad = _reader(config), [], []
    for where, row in _rows(config, split, data.notes):
        try:
            if isinstance(row, DataError):
                raise row
            good.append((where, read(row)))
        except DataError as error:
            bad.append(f"{where}: {error}")
    questions, clashes = checks.with_ids(good)
    _judge(config, split, questions, bad + clashes)
    data.bad_rows.extend(bad + clashes)
    data.notes.extend(_found(config, split, questions, bad + clashes))
    return questions


def _reader(config: DataConfig) -> Reader:
    if config.reader == "local":
        assert config.columns is not None, "a rule of the configuration"
        return partial(local.read, columns=config.columns)
    if config.reader not in READERS:
        known = [*READERS, "local", "facts"]
        raise DataError(f"data.reader={config.reader}: known are {known}.{nearest(config.reader, known)}")
    return READERS[config.reader]


def _facts(split: str | None) -> list[Question]:
    from mcqa.data import facts

    if split not in SPLITS:
        raise DataError(f"data.splits: data=facts has train, dev and test, not {split!r}.")
    return facts.questions(split)


def _rows(config: DataConfig, split: str | None, notes: list[str]) -> Rows:
    if config.path is None:
        assert split is not None
        return hub.rows(config, split)
    path, unread = files.existing(config.path), list[Path]()
    found = [path]
    if split is not None:
        found, unread = files.find(path, split)
    if unread:
        notes.append(f"{split}: read from {found[0].name}, and not from {unread[0].name} beside it")
    return files.split_rows(found, split, mmlu.COLUMNS if config.reader == "mmlu" else ())


def _judge(config: DataConfig, split: str | None, questions: list[Question], bad: list[str]) -> None:
    """Raises what makes a split unusable: bad rows that are not to be skipped, or no good ones."""
    if questions and (not bad or config.bad_rows == "skip"):
        return
    source = f"{config.path or config.hub}{f'[{split}]' if split else ''}"
    if not bad:
        raise DataError(f"{source}: is empty.")
    lines = [f"{source}: {len(bad)} of {len(questions) + len(bad)} rows cannot be used:"]
    lines += [f"  {line}" for line in bad[:SHOWN]]
    if len(bad) > SHOWN:
        lines.append(f"  and {len(bad) - SHOWN} more.")
    if all(NO_ANSWER in line for line in bad):
        lines.append("Is this the test split without public answers?")
    if questions:
        lines.append("data.bad_rows=skip leaves them out and counts them.")
    raise DataError("\n".join(lines))


def _found(config: DataConfig, split: str | None, questions: list[Question], bad: list[str]) -> Iterator[str]:
    name = split or Path(config.path or "").name
    if bad:
        yield f"{name}: {len(bad)} of {len(questions) + len(bad)} rows left out as bad"
    if repeated := checks.repeats(questions):
        yield f"{name}: {repeated} of {_count(questions)} repeat another one, and are kept"


def _shared(splits: dict[str, list[Question]]) -> Iterator[str]:
    for ours, theirs in (("dev", "train"), ("test", "train"), ("test", "dev")):
        if ours in splits and theirs in splits and (count := checks.shared(splits[ours], splits[theirs])):
            yield f"{ours}: {count} of {_count(splits[ours])} stand in {theirs} too (choices may differ)"


def _count(questions: list[Question]) -> str:
    return f"{len(questions)} question{'' if len(questions) == 1 else 's'}"
