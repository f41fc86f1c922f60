"""Runs that differ in nothing but the seed are one configuration; what else differs names the configurations."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mcqa.compare.options import Options
from mcqa.compare.runs import Run, same_questions
from mcqa.config.errors import ConfigError
from mcqa.data.question import Question
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.formatting import config_value

ConfigDict = Mapping[str, Any]

ABSENT = "absent"


TRAINED = "trained"
"""A key of ours: False for a model that mcqa.evaluate measured as it was, so that it is not taken for a trained one."""


_OF_TRAINING = ("data.limit", "objective.", "optimizer.", "scheduler.", "peft.", "evaluation.")
"""What says nothing of a model that was not trained; peft.quantization does, for it is loaded so."""

_WRITTEN_DOWN = ("name", "outputs", "resume", "from_run", "dry_run", "run", "splits", "model.licence", "data.licence")


_WRITTEN_DOWN_GROUPS = ("tracking.", "model.learning_rate.", "data.recommended.", "hydra.")


_MEASURED_BESIDE = {
    f"evaluation.{key}"
    for key in ("cluster", "bootstrap", "unconditional", "choices_only", "permutations", "harness_task", "sets")
}


_MACHINE_THAT_COUNTS = ("hardware.micro_batch_size", "hardware.devices", "hardware.nodes")
"""They decide the batch size where optimizer.batch_size is null."""

SHOWN_KEYS, LONGEST_VALUE, LONGEST_LABEL = 3, 24, 60


@dataclass(frozen=True)
class Configuration:
    """One configuration with the predictions of each of its seeds, all in the order of Compared.questions.

    trained: its answers hang on a seed. Not so for a base before training, which one set of predictions describes.
    """

    label: str
    runs: tuple[Run, ...]
    predictions: tuple[tuple[Prediction, ...], ...]
    trained: bool


@dataclass(frozen=True)
class Compared:
    """What is going to be compared. `differing` and `speed_only` have one value a configuration, by key."""

    split: str
    questions: tuple[Question, ...]
    configurations: tuple[Configuration, ...]
    differing: Mapping[str, tuple[str, ...]]
    speed_only: Mapping[str, tuple[str, ...]]
    runs: tuple[Run, ...]


def configurations(runs: Sequence[Run], options: Options) -> Compared:
    """
    Raises:
        ConfigError: a run is named twice, lacks the split, or there is nothing to compare it with.
        DataError: the runs were measured on different questions.
    """
    _no_run_twice(runs)
    grouped = _grouped(runs)
    if len(grouped) == 1:
        return _before_and_after(grouped[0], options)
    keys = _by_configuration(grouped, _differing(grouped))
    labels = _labels(grouped, keys)
    rows = same_questions({run.shown: run.predictions(options.split) for run in runs}, runs, options.split)
    found = [
        _configuration(label, group, [rows[run.shown] for run in group], _is_trained(group[0], options.split))
        for label, group in zip(labels, grouped, strict=True)
    ]
    return Compared(options.split, _questions(found), tuple(found), keys, _speed_only(grouped), tuple(runs))


def _before_and_after(group: Sequence[Run], options: Options) -> Compared:
    """One configuration, compared with its own base."""
    after, base = {run.shown: run.predictions(options.split) for run in group}, f"base/{options.split}"
    if options.split.startswith("base/") or any(base not in run.splits for run in group):
        what = f"{group[0].shown} is" if len(group) == 1 else "These runs are seeds of"
        raise ConfigError(
            f"{what} one configuration, and there are no predictions from before training to compare "
            f"split={options.split} with: name a run of another configuration too."
        )
    before = {run.shown: f"{run.shown} before training" for run in group}
    named = {before[run.shown]: run.predictions(base) for run in group}
    rows = same_questions(named | after, group, options.split)
    found = [
        _configuration("base", group, [rows[name] for name in named], trained=False),
        _configuration("fine-tuned", group, [rows[run.shown] for run in group], trained=True),
    ]
    speed = {key: values * 2 for key, values in _speed_only([group]).items()}
    return Compared(options.split, _questions(found), tuple(found), {}, speed, tuple(group))


def _configuration(
    label: str, group: Sequence[Run], rows: Sequence[tuple[Prediction, ...]], trained: bool
) -> Configuration:
    """A model that was not trained is one model whatever the seed, unless the seed made its weights."""
    alike = not trained and all(_scores(one) == _scores(rows[0]) for one in rows)
    return Configuration(label, tuple(group), tuple(rows[:1] if alike else rows), trained or not alike)


def _scores(rows: Sequence[Prediction]) -> str:
    return repr([row.scores for row in rows])  # in which NaN equals NaN


def _questions(found: Sequence[Configuration]) -> tuple[Question, ...]:
    return tuple(row.question for row in found[0].predictions[0])


def _is_trained(run: Run, split: str) -> bool:
    return not split.startswith("base/") and bool(_tree(run)[TRAINED])


def _no_run_twice(runs: Sequence[Run]) -> None:
    """By its folder, and by its id in MLflow, where it is found when its folder lies elsewhere."""
    pairs = [(one, other) for one, other in combinations(runs, 2) if _is_same_run(one, other)]
    if twice := {run.shown for pair in pairs for run in pair}:
        verb = "are one run, named twice" if len(twice) > 1 else "is named twice"
        raise ConfigError(f"{' and '.join(sorted(twice))} {verb}; a run is compared with other runs.")


def _is_same_run(one: Run, other: Run) -> bool:
    tracked = one.mlflow_id is not None and one.mlflow_id == other.mlflow_id
    return tracked or one.folder.resolve() == other.folder.resolve()


def _grouped(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by configuration, in the order given. The same seed again is no second seed: it starts another group."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        kept = {key: value for key, value in _tree(run).items() if key != "seed" and not _is_speed(key, _tree(run))}
        alike, repeat = json.dumps(kept, sort_keys=True, default=str), 0
        while any(_same(run.seed, other.seed) for other in groups.get((alike, repeat), [])):
            repeat += 1
        groups.setdefault((alike, repeat), []).append(run)
    return list(groups.values())


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, default=str) == json.dumps(other, default=str)


def _tree(run: Run) -> dict[str, Any]:
    """What decides the answers, and what is only faster or measured beside them."""
    trained = "splits" not in run.tree or run.tree.get("run") is not None
    kept = {
        key: value
        for key, value in run.tree.items()
        if key not in _WRITTEN_DOWN and not key.startswith(_WRITTEN_DOWN_GROUPS) and (trained or not _of_training(key))
    }
    return {TRAINED: trained} | kept


def _of_training(key: str) -> bool:
    return key.startswith(_OF_TRAINING) and key != "peft.quantization"


def _is_speed(key: str, tree: ConfigDict) -> bool:
    if key in _MACHINE_THAT_COUNTS and tree.get("optimizer.batch_size") is None:
        return False
    return key in _MEASURED_BESIDE or (key.startswith("hardware.") and key != "hardware.precision")


def _differing(grouped: Sequence[Sequence[Run]]) -> list[str]:
    """Keys, other than speed's, in which the configurations differ; the seed where they have not the same seeds."""
    keys = _keys([group[0] for group in grouped], lambda key, tree: key != "seed" and not _is_speed(key, tree))
    seeds = {_values(sorted(group, key=lambda run: str(run.seed)), "seed") for group in grouped}
    return keys + (["seed"] if len(seeds) > 1 else [])


def _speed_only(grouped: Sequence[Sequence[Run]]) -> dict[str, tuple[str, ...]]:
    return _by_configuration(grouped, _keys([run for group in grouped for run in group], _is_speed))


def _by_configuration(grouped: Sequence[Sequence[Run]], keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(_values(group, key) for group in grouped) for key in keys}


def _keys(runs: Sequence[Run], wanted: Callable[[str, ConfigDict], bool]) -> list[str]:
    """The wanted keys that are not in all runs the same, in the order of the configuration."""
    trees = [_tree(run) for run in runs]
    return [
        key
        for key in dict.fromkeys(key for tree in trees for key in tree)
        if any(wanted(key, tree) for tree in trees) and not _all_alike(key, trees)
    ]


def _all_alike(key: str, trees: Sequence[ConfigDict]) -> bool:
    """Among those of which the key says something."""
    first, *others = [tree for tree in trees if tree[TRAINED] or not _of_training(key)]
    return all((key in one) == (key in first) and _same(one.get(key), first.get(key)) for one in others)


def _values(group: Sequence[Run], key: str) -> str:
    return ", ".join(dict.fromkeys(config_value(_tree(run).get(key, ABSENT)) for run in group))


def _labels(grouped: Sequence[Sequence[Run]], keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Short names: the keys that differ, else the run's name; told apart by id where that is not enough."""
    names = [group[0].name for group in grouped]
    distinct = len(set(names)) == len(names)
    telling = _telling(keys)
    if not telling or (len(telling) > SHOWN_KEYS and distinct):
        labels = names
    else:
        labels = [_label(telling, keys, i) for i in range(len(grouped))]
    return [
        label if labels.count(label) == 1 else f"{label} {group[0].id[-32:]}"
        for label, group in zip(labels, grouped, strict=True)
    ]


def _telling(keys: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Without `seed`, and of a group whose option differs (`model.name`) only that."""
    chosen = [key.removesuffix("name") for key in keys if key.endswith(".name")]
    return [key for key in keys if key != "seed" and not _below(key, chosen)]


def _below(key: str, groups: Iterable[str]) -> bool:
    return any(key.startswith(group) and key != f"{group}name" for group in groups)


def _label(telling: Sequence[str], keys: Mapping[str, tuple[str, ...]], i: int) -> str:
    untrained = TRAINED in telling and keys[TRAINED][i] == "false"
    named = [key for key in telling if key != TRAINED and not (untrained and _of_training(key))]
    parts = [f"{_short(key, telling)}={_cut(keys[key][i], LONGEST_VALUE)}" for key in named[:SHOWN_KEYS]]
    more = [f"+{len(named) - SHOWN_KEYS}"] if len(named) > SHOWN_KEYS else []
    first = ["untrained"] if untrained else [] if parts else ["trained"]
    return _cut(" ".join(first + parts + more), LONGEST_LABEL)


def _short(key: str, others: Sequence[str]) -> str:
    """The last part of a key, or the one before where that is `name` or not the only one of its kind."""
    *before, last = key.split(".")
    if last == "name" and before:
        return before[-1]
    return key if sum(other.split(".")[-1] == last for other in others) > 1 else last


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
