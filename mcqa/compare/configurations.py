"""Group runs into configurations: runs that differ only in seeds are one, and the keys that differ name them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from mcqa.compare.options import Options
from mcqa.compare.runs import Run
from mcqa.compare.same_questions import same_questions
from mcqa.config.errors import ConfigError
from mcqa.config.schema import SEEDS
from mcqa.data.question import Question
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.formatting import config_value, cut

ByKey = Mapping[str, tuple[str, ...]]
"""By key of the configuration its value in each configuration, as text."""

ABSENT = "absent"
TRAINED = "trained"
"""A key of our own: False for a model that was measured without training, by mcqa.evaluate or a run of objective=none,
so that it is not taken for a trained one."""

_TRAINING = ("data.limit", "objective.", "optimizer.", "scheduler.", "peft.", "evaluation.", "stages")
"""Keys without effect on a model that was not trained, but for those of the next."""

_MEASURING = ("peft.quantization", "evaluation.context", "evaluation.passages", "evaluation.context_k")
"""How a model is loaded, and what stands before the questions."""

_NO_EFFECT = (
    "name",
    "outputs",
    "resume",
    "from_run",
    "dry_run",
    "run",
    "splits",
    "model.licence",
    "data.licence",
    "data.harness_task",
    "objective.learning_rate_factor",  # it is in optimizer.learning_rate
)
_NO_EFFECT_GROUPS = ("tracking.", "model.learning_rate.", "data.recommended.", "hydra.")
_GROUPS = "optimizer.groups"
_PRECISION = ("hardware.precision", "hardware.tf32")
_EXTRA_MEASUREMENTS = {
    f"evaluation.{key}"
    for key in (
        "cluster",
        "bootstrap",
        "unconditional",
        "choices_only",
        "permutations",
        "harness_task",
        "sets",
        "max_time_share",
        "before",
        "test_limit",
    )
}
_BATCH_SIZE = ("hardware.micro_batch_size", "hardware.devices", "hardware.nodes")
"""Keys that determine the batch size where optimizer.batch_size is null."""

SHOWN_KEYS, LONGEST_VALUE, LONGEST_LABEL = 3, 24, 60


@dataclass(frozen=True)
class Configuration:
    """One configuration with the predictions of each of its seeds, all in the order of Compared.questions.

    split: that of the predictions, such as test or base/test.
    trained: its answers depend on a seed. Not so for a base before training, which one set of predictions describes.
    """

    label: str
    runs: tuple[Run, ...]
    predictions: tuple[tuple[Prediction, ...], ...]
    trained: bool
    split: str


@dataclass(frozen=True)
class Compared:
    """What is compared. speed_only: keys that differ and change only speed and extra measurements."""

    split: str
    configurations: tuple[Configuration, ...]
    differing: ByKey
    speed_only: ByKey
    runs: tuple[Run, ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        return tuple(row.question for row in self.configurations[0].predictions[0])


def group_runs(runs: Sequence[Run], options: Options) -> Compared:
    """Group the runs and read their predictions, all in the same order of questions.

    Raises:
        ConfigError: a run is named twice, lacks the split, or there is nothing to compare it with.
        DataError: the runs were measured on different questions.
    """
    _check_distinct(runs)
    groups, split = _grouped(runs), options.split
    if len(groups) == 1:
        return _before_and_after(groups[0], split)
    differing = _values_by_key(groups, _differing(groups))
    rows = same_questions({run.shown: run.predictions(split) for run in runs}, runs, split)
    after = not split.startswith("base/")
    configured = [
        _configuration(label, group, [rows[run.shown] for run in group], after and _relevant(group[0])[TRAINED], split)
        for label, group in zip(_labels(groups, differing), groups, strict=True)
    ]
    return Compared(split, tuple(configured), differing, _speed_only(groups), tuple(runs))


def _before_and_after(group: Sequence[Run], split: str) -> Compared:
    """One configuration, compared with its own base."""
    after, base = {run.shown: run.predictions(split) for run in group}, f"base/{split}"
    trained = _relevant(group[0])[TRAINED]
    if split.startswith("base/") or not trained or any(base not in run.splits for run in group):
        what = f"{group[0].shown} is" if len(group) == 1 else "These runs are seeds of"
        raise ConfigError(
            f"{what} one configuration, and there are no predictions from before training to compare split={split} "
            "with: name a run of another configuration too."
        )
    before = {f"{run.shown} before training": run.predictions(base) for run in group}
    rows = same_questions(before | after, group, split)
    configured = (
        _configuration("base", group, [rows[name] for name in before], False, base),
        _configuration("fine-tuned", group, [rows[name] for name in after], True, split),
    )
    speed_only = {key: values * 2 for key, values in _speed_only([group]).items()}
    return Compared(split, configured, {}, speed_only, tuple(group))


def _configuration(
    label: str, group: Sequence[Run], rows: Sequence[tuple[Prediction, ...]], trained: bool, split: str
) -> Configuration:
    """A model that was not trained is one model whatever the seed, unless the seed made its weights."""
    scores = {repr([row.scores for row in seed]) for seed in rows}  # as text, in which NaN equals NaN
    identical = not trained and len(scores) == 1
    return Configuration(label, tuple(group), tuple(rows[:1] if identical else rows), trained or not identical, split)


def _check_distinct(runs: Sequence[Run]) -> None:
    """By folder, and by MLflow run id, where a run is found by its id when its folder lies elsewhere."""
    pairs = [
        (one, other)
        for one, other in combinations(runs, 2)
        if one.folder.resolve() == other.folder.resolve() or one.mlflow_id == other.mlflow_id is not None
    ]
    if twice := {run.shown for pair in pairs for run in pair}:
        verb = "are one run, named twice" if len(twice) > 1 else "is named twice"
        raise ConfigError(f"{' and '.join(sorted(twice))} {verb}; a run is compared with other runs.")


def _grouped(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs by configuration, in the given order. The same seeds again are no second seed: they start another group."""
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        configuration, repeat = identity(run), 0
        while any(_as_text(run.seeds) == _as_text(other.seeds) for other in groups.get((configuration, repeat), [])):
            repeat += 1
        groups.setdefault((configuration, repeat), []).append(run)
    return list(groups.values())


def identity(run: Run) -> str:
    """Return what runs of one configuration have in common, as text: every key that matters but the seeds."""
    config = _relevant(run)
    return _as_text({key: value for key, value in config.items() if key not in SEEDS and not _is_speed(key, config)})


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


# --- what differs -----------------------------------------------------------------------------------------------------


def _relevant(run: Run) -> dict[str, Any]:
    """The keys that determine the answers, speed or extra measurements."""
    evaluated = "splits" in run.config_dict and run.config_dict.get("run") is None
    trained = not evaluated and run.config_dict.get("objective.name") != "none"
    no_effect = (*_NO_EFFECT_GROUPS, _GROUPS) if _has_plain_groups(run.config_dict) else _NO_EFFECT_GROUPS
    no_effect = no_effect if _may_cut(run.config_dict) else (*no_effect, "data.split_by")
    return {TRAINED: trained} | {
        key: value
        for key, value in run.config_dict.items()
        if key not in _NO_EFFECT and not key.startswith(no_effect) and (trained or not _is_training(key))
    }


def _has_plain_groups(config: Mapping[str, Any]) -> bool:
    """Whether all groups of parameters are treated alike, so that it does not matter which there are."""
    values = {key: value for key, value in config.items() if key.startswith(_GROUPS + ".")}
    return all(
        value == (1 if key.endswith(".learning_rate_factor") else None)
        for key, value in values.items()
        if not key.endswith(".pattern")
    )


def _may_cut(config: Mapping[str, Any]) -> bool:
    """Whether dev or test may be cut from other questions: from train, or from a file without splits."""
    return config.get("data.splits.dev") is None or Path(str(config.get("data.path"))).suffix != ""


def _is_training(key: str) -> bool:
    return key.startswith(_TRAINING) and key not in _MEASURING


def _is_speed(key: str, config: Mapping[str, Any]) -> bool:
    """Whether a key changes only speed, or what is measured besides."""
    if key in _BATCH_SIZE and config.get("optimizer.batch_size") is None:
        return False
    return key in _EXTRA_MEASUREMENTS or (key.startswith("hardware.") and key not in _PRECISION)


def _differing(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Keys, other than speed's, in which the configurations differ, and each of SEEDS that they do not share."""
    keys = _keys([group[0] for group in groups], lambda key, config: key not in SEEDS and not _is_speed(key, config))
    drawn = {
        key: {_values(sorted(group, key=lambda run: str(run.seeds[key])), key) for group in groups} for key in SEEDS
    }
    return keys + [key for key, values in drawn.items() if len(values) > 1]


def _speed_only(groups: Sequence[Sequence[Run]]) -> ByKey:
    return _values_by_key(groups, _keys([run for group in groups for run in group], _is_speed))


def _keys(runs: Sequence[Run], is_wanted: Callable[[str, Mapping[str, Any]], bool]) -> list[str]:
    """The wanted keys that are not identical in all runs, in the order of the configuration."""
    configs = [_relevant(run) for run in runs]
    return [
        key
        for key in dict.fromkeys(key for config in configs for key in config)
        if any(is_wanted(key, config) for config in configs) and not _is_identical(key, configs)
    ]


def _is_identical(key: str, configs: Sequence[Mapping[str, Any]]) -> bool:
    """Among those configurations on which the key has an effect."""
    affected = [config for config in configs if config[TRAINED] or not _is_training(key)]
    return len({(key in config, _as_text(config.get(key))) for config in affected}) == 1


def _values_by_key(groups: Sequence[Sequence[Run]], keys: Sequence[str]) -> ByKey:
    return {key: tuple(_values(group, key) for group in groups) for key in keys}


def _values(group: Sequence[Run], key: str) -> str:
    return ", ".join(dict.fromkeys(config_value(_relevant(run).get(key, ABSENT)) for run in group))


# --- names ------------------------------------------------------------------------------------------------------------


def _labels(groups: Sequence[Sequence[Run]], differing: ByKey) -> list[str]:
    """Short names: the keys that differ, else the run's name; with the run's id where these are not unique."""
    names = [group[0].name for group in groups]
    keys = _naming_keys(differing)
    if not keys or (len(keys) > SHOWN_KEYS and len(set(names)) == len(names)):
        labels = names
    else:
        labels = [_label(keys, differing, i) for i in range(len(groups))]
    return [
        label if labels.count(label) == 1 else f"{label} {group[0].id[-32:]}"
        for label, group in zip(labels, groups, strict=True)
    ]


def _naming_keys(differing: ByKey) -> list[str]:
    """Without seeds, and of a group whose option differs (`model.name`) only that."""
    groups = tuple(key.removesuffix("name") for key in differing if key.endswith(".name"))
    return [key for key in differing if key not in SEEDS and (key.endswith(".name") or not key.startswith(groups))]


def _label(keys: Sequence[str], differing: ByKey, i: int) -> str:
    untrained = TRAINED in keys and differing[TRAINED][i] == "false"
    named = [key for key in keys if key != TRAINED and not (untrained and _is_training(key))]
    parts = [f"{_short(key, keys)}={cut(differing[key][i], LONGEST_VALUE)}" for key in named[:SHOWN_KEYS]]
    more = [f"+{len(named) - SHOWN_KEYS}"] if len(named) > SHOWN_KEYS else []
    first = ["untrained"] if untrained else [] if parts else ["trained"]
    return cut(" ".join(first + parts + more), LONGEST_LABEL)


def _short(key: str, others: Sequence[str]) -> str:
    """The last part of a key, or the one before where that is `name`; the whole key where the part is not unique."""
    *before, last = key.split(".")
    if last == "name" and before:
        return before[-1]
    return key if sum(other.split(".")[-1] == last for other in others) > 1 else last
