"""Load the questions of a configuration: find and read them, collect bad rows, then split and subsample."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import Config, DataConfig, EvaluationConfig, SetConfig
from mcqa.data import checks, files
from mcqa.data.conversations.conversation import Conversation, Entry, counted
from mcqa.data.general_texts import General, divided, load_general_texts
from mcqa.data.mixture import Mixture, set_of
from mcqa.data.published import published_name, read_published
from mcqa.data.quality import duplicates
from mcqa.data.quality.report import few_questions
from mcqa.data.question import Question, in_drawn_order
from mcqa.data.retrieval import add_passages
from mcqa.data.splits import passage, related, split_by_hash, subsample
from mcqa.data.texts import load_texts
from mcqa.data.words import questions_within

OVERLAPS = {"overlap", "near_overlap"}  # of data.clean: for what train is compared with dev, test and further sets

DATA_KEY = re.compile(rf"(?<![\w./=-])data\.(?=(?:{'|'.join(field.name for field in fields(DataConfig))})\b)")
"""Matches `data.` before a key of DataConfig in a message, and not in a path."""


@dataclass(frozen=True)
class Data:
    """The questions of each split, in the order train, dev, test; bad_rows and notes are messages for the user.

    A split without questions is absent. conversations: those of each split that has some.
    first_looks: by split or further set, where evaluation.test_limit reads only some: how many, and how many it has.
    removed: how many questions each word of data.clean has left out of train.
    mixture: draws the examples of an epoch, where data is a mix, whose ids begin with the name of their set and `/`.
    parts: by split and set of a mix, its questions as they are without the mix, by their id in it.
    published: the questions of dev with their options in the published order, by id, where another is drawn.
    retrieval: what evaluation.context says of each split, as metrics. warnings: of what it makes doubtful.
    general: the texts of data.general_texts.
    """

    splits: dict[str, list[Question]]
    bad_rows: list[str]
    notes: list[str]
    first_looks: dict[str, tuple[int, int]] = field(default_factory=dict)
    conversations: dict[str, list[Conversation]] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    mixture: Mixture | None = None
    parts: dict[str, dict[str, dict[str, Question]]] = field(default_factory=dict)
    published: dict[str, Question] = field(default_factory=dict)
    retrieval: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    general: General = field(default_factory=General)

    @property
    def train(self) -> list[Question]:
        """The questions to train on, if there are any."""
        return self.splits.get("train", [])

    @property
    def entries(self) -> dict[str, list[Entry]]:
        """The questions and the conversations of every split and further set."""
        names = dict.fromkeys([*SPLITS, *self.splits, *self.conversations])
        every: dict[str, list[Entry]] = {name: [*self.splits.get(name, [])] for name in names}
        for name, conversations in self.conversations.items():
            every[name] += conversations
        return {name: entries for name, entries in every.items() if entries}


Inputs = tuple[Data, list[str]]
"""The questions of a run, and the texts that it is trained on."""


def load_inputs(config: Config) -> Inputs:
    """Read everything that a run reads.

    Raises:
        DataError: as for `load_run_data` and `load_texts`.
    """
    data = load_run_data(config.data, config.evaluation)
    texts = load_texts(config.data, data.notes) if config.objective.reads_texts else []
    for split, questions in data.splits.items():
        if split != "train" and (asked := questions_within(texts, questions)):
            data.warnings.append(
                f"{split}: the texts contain {asked} of {counted(questions)} word for word (data.texts). What is "
                "learned by heart there says nothing about other questions."
            )
    if config.data.general_texts is not None:
        data = replace(data, general=divided(load_general_texts(config.data), texts))
    return data, texts


def load_run_data(config: DataConfig, evaluation: EvaluationConfig, splits: Sequence[str] = SPLITS) -> Data:
    """Load the splits of data, and evaluation.sets as further splits under their names.

    Where evaluation.dev names another question set, dev comes from that one.

    Raises:
        DataError: as for `load`; a message about another set names the keys of that set.
    """
    own = [split for split in splits if split != "dev" or evaluation.dev is None]
    if config.has_conversations and config.splits.test is None:
        own = [split for split in own if split != "test"]  # what has no choices may do without, with evaluation.sets
    if config.splits.train is None and config.splits.dev is None and "test" in own and not is_single_file(config):
        own = [split for split in own if split != "dev"]  # a set to measure has only one split
    others = [(other.name, other, f"evaluation.sets[{number}]") for number, other in enumerate(evaluation.sets)]
    if evaluation.dev is not None and "dev" in splits:
        others.insert(0, ("dev", evaluation.dev, "evaluation.dev"))
    others = [
        (name, replace(other, data=as_whole(other.data)) if _is_file_apart(other, config) else other, key)
        for name, other, key in others
    ]

    @cache
    def further(number: int) -> Data:
        _, other, key = others[number]
        return _load_set(other.data, [other.split], key)

    compared = own if "train" not in own or not OVERLAPS & set(config.clean) else _all_measured(config, evaluation)
    data = Data({}, [], [])
    if own:
        sets = (further(number).splits.get(other.split, []) for number, (_, other, _) in enumerate(others))
        data = load(config, [*own, *(split for split in compared if split not in own)], sets)
        for split in set(data.splits) - set(own):
            del data.splits[split]
    _first_look_at_sets(config, evaluation.test_limit, data)
    _first_look("test", config.seed, None if config.sets else evaluation.test_limit, data)
    for number, (name, other, _) in enumerate(others):
        loaded = further(number)
        if other.split in loaded.splits:
            data.splits[name] = loaded.splits[other.split]
        if other.split in loaded.conversations:
            data.conversations[name] = loaded.conversations[other.split]
        data.bad_rows.extend(f"{name}: {line}" for line in loaded.bad_rows)
        data.notes.append(f"{name}: {other.split} of {other.data.name} ({other.data.licence})")
        data.notes.extend(f"{name}: {note}" for note in loaded.notes)
        data.notes.extend(_overlap_notes(name, "train", data))
        if other.split == "test" and name != "dev":
            _first_look(name, other.data.seed, evaluation.test_limit, data)
        if other.data.draws_order and name in data.splits:
            if name == "dev":
                data.published.update({question.id: question for question in data.splits[name]})
            data.splits[name] = [in_drawn_order(question, other.data.seed) for question in data.splits[name]]
    _draw_orders(config, own, data)
    if evaluation.context is not None:
        data.retrieval.update(add_passages(evaluation, data.splits, data.parts, data.notes, data.warnings))
    order = dict.fromkeys([*SPLITS, *data.splits])
    return replace(data, splits={split: data.splits[split] for split in order if split in data.splits})


def is_single_file(config: DataConfig) -> bool:
    """Whether the questions of all splits are in one file."""
    if config.path is None:
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


def _first_look_at_sets(config: DataConfig, limit: int | None, data: Data) -> None:
    """Keep `limit` test questions of each set of a mix, the ones that are kept of the set alone."""
    if limit is None or not (parts := data.parts.get("test")):
        return
    seeds, every = {one.name: one.data.seed for one in config.sets}, len(data.splits["test"])
    for name, questions in parts.items():
        few = {f"{name}/{question.id}" for question in subsample([*questions.values()], seeds[name], limit)}
        if len(few) < len(questions):
            data.first_looks[name] = len(few), len(questions)
            data.notes.append(
                f"{name}: a first look at {len(few)} of {len(questions)} questions (evaluation.test_limit)"
            )
            parts[name] = {id: question for id, question in questions.items() if id in few}
    kept = {id for questions in parts.values() for id in questions}
    if len(kept) < every:
        data.splits["test"] = [question for question in data.splits["test"] if question.id in kept]
        data.first_looks["test"] = len(kept), every


def _first_look(name: str, seed: int, limit: int | None, data: Data) -> None:
    """Keep `limit` questions, and as many conversations, of a split or set, if it has more, and say so."""
    of_both: tuple[dict[str, Any], ...] = (data.conversations, data.splits)
    for entries in of_both:
        every: list[Any] = entries.get(name, [])
        if limit is not None and limit < len(every):
            entries[name] = subsample(every, seed, limit)
            data.first_looks[name] = limit, len(every)
            data.notes.append(f"{name}: a first look at {limit} of {counted(every)} (evaluation.test_limit)")


def _all_measured(config: DataConfig, evaluation: EvaluationConfig) -> list[str]:
    """The splits of data that training is measured on."""
    dev = ["dev"] if evaluation.dev is None else []
    is_file = config.path is not None and files.existing_path(config.path).is_file()
    return [*dev, "test"] if is_file or config.splits.test is not None or config.sets else dev


def _draw_orders(config: DataConfig, splits: Sequence[str], data: Data) -> None:
    """Show the options of the questions in orders that are drawn, where data, or the set of a mix, says so. Ids, cuts
    and samples are those of the published order."""
    sets = {one.name: one.data for one in config.sets}

    def shown(question: Question, own: DataConfig) -> Question:
        return in_drawn_order(question, own.seed) if own.draws_order else question

    for split in splits:
        questions = data.splits.get(split, [])
        owners = [sets.get(question.id.partition("/")[0], config) for question in questions]
        if split == "dev" and any(own.draws_order for own in owners):
            data.published.update({question.id: question for question in questions})
        if questions:
            data.splits[split] = [shown(one, own) for one, own in zip(questions, owners, strict=True)]
        for name, part in data.parts.get(split, {}).items():
            part |= {id: shown(question, sets[name]) for id, question in part.items()}


def _load_set(config: DataConfig, splits: Sequence[str], key: str) -> Data:
    """Messages and notes about this set name its keys (`key`.path) instead of those of data (data.path)."""
    try:
        loaded = load(config, splits)
    except DataError as error:
        text = DATA_KEY.sub(f"{key}.", str(error))
        raise DataError(text if text.startswith(key) else f"{key}: {text}") from error
    return replace(loaded, notes=[DATA_KEY.sub(f"{key}.", note) for note in loaded.notes])


def load(config: DataConfig, splits: Sequence[str] = SPLITS, further: Iterable[Sequence[Question]] = ()) -> Data:
    """Load the given splits, each as it would be if all were loaded; files of other splits are not read.

    further: sets that train is compared with too, where data.clean leaves out what it shares with dev and test; they
    are taken only then. It is compared with those of the given splits alone.

    Raises:
        DataError: data is missing or cannot be read, a split is null or has no question left, or there are bad rows
            and data.bad_rows is error.
    """
    data = Data({}, [], [])
    if config.reader == "mix":
        return _load_mix(config, splits, further, data)
    # Train and a dev that is held out from it are one reading.
    read = cache(partial(read_published, config, notes=data.notes, bad_rows=data.bad_rows))
    try:
        for split in SPLITS:
            if split in splits:
                _add(data, split, _load_split(config, split, read, data.notes))
    except PermissionError as error:
        raise DataError(f"data.path={config.path}: {error.filename} may not be read by this user.") from error
    except OSError as error:  # of the folder; those of its files are DataErrors
        raise DataError(f"data.path={config.path}: {error.filename}: {error.strerror or error}.") from error
    _clean(config, data, further)
    for split, other in (("dev", "train"), ("test", "train"), ("test", "dev")):
        data.notes.extend(_overlap_notes(split, other, data))
    return data


def _add(data: Data, split: str, entries: Sequence[Entry]) -> None:
    """Add the questions and the conversations of a split."""
    questions = [entry for entry in entries if isinstance(entry, Question)]
    conversations = [entry for entry in entries if isinstance(entry, Conversation)]
    if questions:
        data.splits[split] = questions
    if conversations:
        data.conversations[split] = conversations


def _clean(config: DataConfig, data: Data, further: Iterable[Sequence[Question]]) -> None:
    """Leave out of train what data.clean names, count it, and sample data.limit of the rest."""
    if not config.clean or "train" not in data.splits:
        return
    measured = [question for split in data.splits if split != "train" for question in data.splits[split]]
    if OVERLAPS & set(config.clean):
        measured += [question for questions in further for question in questions]
    before, conversations = data.splits.pop("train"), data.conversations.pop("train", [])
    train, removed = duplicates.cleaned(before, config.clean, measured)
    data.removed.update(removed)
    counts = ", ".join(f"{what} {count}" for what, count in removed.items())
    data.notes.append(f"train: {len(before) - len(train)} of {counted(before)} left out by data.clean ({counts})")
    if not train and not conversations:
        raise DataError(f"train: no question is left after data.clean=[{', '.join(config.clean)}].")
    entries: list[Entry] = [*train, *conversations]
    if config.limit is not None:
        data.notes.append(f"train: {min(config.limit, len(entries))} of {counted(entries)} sampled (data.limit)")
        entries = subsample(entries, config.seed, config.limit)
    _add(data, "train", entries)


def _load_mix(config: DataConfig, splits: Sequence[str], further: Iterable[Sequence[Question]], mixed: Data) -> Data:
    """Load the splits of all sets, one set after the other; data.limit holds for all of them together."""
    entries: dict[str, list[Entry]] = {split: [] for split in SPLITS if split in splits}
    for number, one in enumerate(config.sets):
        own = _load_set(one.data, list(entries), f"data.sets[{number}]")
        mixed.bad_rows.extend(f"{one.name}: {line}" for line in own.bad_rows)
        mixed.notes.extend(f"{one.name}: {note}" for note in own.notes)
        for split, every in entries.items():
            questions: dict[str, Question] = {
                f"{one.name}/{question.id}": question for question in own.splits.get(split, [])
            }
            if split != "train" and questions:
                mixed.parts.setdefault(split, {})[one.name] = questions
            own_entries: list[Entry] = [*questions.values(), *own.conversations.get(split, [])]
            every += [_of_set(entry, one.name) for entry in own_entries]
    if config.limit is not None and not config.clean and config.limit < len(train := entries.get("train", [])):
        mixed.notes.append(f"train: {config.limit} of {counted(train)} sampled (data.limit)")
        entries["train"] = subsample(train, config.seed, config.limit)
    for split, every in entries.items():
        _add(mixed, split, every)
    _clean(config, mixed, further)
    for split, other in (("dev", "train"), ("test", "train"), ("test", "dev")):
        mixed.notes.extend(_overlap_notes(split, other, mixed))
    assert config.temperature is not None, "a rule of the configuration"
    mixture = Mixture({one.name: one.weight for one in config.sets}, config.temperature, config.seed)
    if sizes := Counter(set_of(entry.id) for entry in mixed.entries.get("train", [])):
        drawn = [f"{count} of the {sizes[name]} of {name}" for name, count in mixture.counts(sizes).items()]
        mixed.notes.append(f"train: an epoch draws {', '.join(drawn)} (weights, data.temperature)")
    return replace(mixed, mixture=mixture)


def _of_set(entry: Entry, name: str) -> Entry:
    """Return the entry under an id, and a cluster if it has one, that no other set of a mix has."""
    cluster = f"{name}/{entry.cluster}" if entry.cluster else ""
    return replace(entry, id=f"{name}/{entry.id}", subject=entry.subject or name, cluster=cluster)


# --- one split -------------------------------------------------------------------------------------------------------


def _load_split(
    config: DataConfig, split: str, read: Callable[[str | None], list[Entry]], notes: list[str]
) -> list[Entry]:
    """One of our splits: a split of the publisher, or a part of its train split or of the only file."""
    share, whole, is_cut = {"dev": config.dev_fraction}, "", True
    if is_single_file(config) and config.splits.train is None and split != "train":
        questions, is_cut = read(None), False
        notes.append(f"{split}: {counted(questions)}, all of {Path(config.path or '').name}")
    elif is_single_file(config) and config.splits.train is not None:
        every, source = read(None), Path(config.path or "").name
        share |= {"test": config.dev_fraction}  # as large a share as dev
        questions, whole = split_by_hash(every, config.seed, share, config.split_by)[split], _kept_whole(every, config)
        notes.append(f"{split}: {len(questions)} of {counted(every)} in {source}, a file without splits{whole}")
    elif split == "test" or config.splits.dev is not None:
        questions, is_cut = read(published_name(config, split)), False
    else:
        every = read(published_name(config, "train"))
        questions, whole = split_by_hash(every, config.seed, share, config.split_by)[split], _kept_whole(every, config)
        if split == "dev":
            notes.append(f"dev: {counted(questions)} held out from train{whole}")
    is_measured = is_cut and split != "train" and config.has_questions
    if is_measured and questions and (few := few_questions(split, questions)) is not None:
        notes.append(few)
    if not questions:
        raise DataError(f"{split}: no question is left after splitting; see data.dev_fraction and data.splits{whole}.")
    if split == "train" and config.limit is not None and not config.clean:
        notes.append(f"train: {min(config.limit, len(questions))} of {counted(questions)} sampled (data.limit)")
        questions = subsample(questions, config.seed, config.limit)
    return questions


def _kept_whole(questions: list[Entry], config: DataConfig) -> str:
    """Say what was not cut apart; nothing where no two questions are related, or they were cut one by one."""
    groups = Counter(related(question) for question in questions)
    shared = sum(bool(group) and count > 1 for group, count in groups.items())
    if config.split_by == "question" or not shared:
        return ""
    wholes = "one cluster or passage stays" if shared == 1 else f"{shared} clusters or passages stay"
    return f"; {wholes} whole (data.split_by)"


# --- notes -----------------------------------------------------------------------------------------------------------


def _overlap_notes(split: str, other: str, data: Data) -> Iterator[str]:
    """What two splits share."""
    if split in data.splits and other in data.splits:
        yield from _overlap_note(split, other, data.splits)
    talks, others = data.conversations.get(split, []), data.conversations.get(other, [])
    known = {passage(one) for one in others}
    if count := sum(passage(one) in known for one in talks):
        yield f"{split}: {count} of {counted(talks)} ask what is asked in {other} too (answers may differ)"


def _overlap_note(split: str, other: str, splits: dict[str, list[Question]]) -> Iterator[str]:
    """What two splits share: questions, and clusters and passages, which tell as much about an answer."""
    if count := checks.count_overlap(splits[split], splits[other]):
        yield f"{split}: {count} of {counted(splits[split])} also occur in {other} (choices may differ)"
    clusters, passages = ({key(question) for question in splits[other]} - {""} for key in (related, passage))
    if count := sum(related(one) in clusters or passage(one) in passages for one in splits[split]):
        yield (
            f"{split}: {count} of {counted(splits[split])} have a passage or cluster that {other} has too; accuracy on "
            "them says little about other passages"
        )
