"""Optuna's samplers and pruners by name."""

import inspect
import random
import warnings
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, cast

import optuna
from optuna.pruners import BasePruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mcqa.config.errors import ConfigError, nearest
from mcqa.sweep.optuna_study.asha import Asha
from mcqa.sweep.optuna_study.paired import Paired
from mcqa.sweep.optuna_study.pruner import Pruner, is_paused

# Enumerated by the study: Optuna's GridSampler raises at its end under ask/tell, and runs an enqueued point twice.
GRID = "grid"


class FirstPointHalving(BasePruner):
    """Successive halving whose first rung is the first point that any trial of the study has reported.

    Optuna's own guess, `auto`, is a hundredth of the last point, so that the first one is several rungs at once.
    """

    def __init__(
        self,
        min_resource: int | str = "first",
        reduction_factor: int = 2,
        min_early_stopping_rate: int = 0,
        bootstrap_count: int = 0,
    ) -> None:
        self._make = partial(
            SuccessiveHalvingPruner,
            reduction_factor=reduction_factor,
            min_early_stopping_rate=min_early_stopping_rate,
            bootstrap_count=bootstrap_count,
        )
        pruner = self._make(1 if min_resource == "first" else min_resource)  # raises for what it does not take
        self._pruner: BasePruner | None = None if min_resource == "first" else pruner

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        if self._pruner is None:
            points = [point for other in study.get_trials(deepcopy=False) for point in other.intermediate_values]
            self._pruner = self._make(max(1, min(points)))
        return self._pruner.prune(study, trial)


class TPEWithPauses(TPESampler):
    """Optuna's sampler, which learns from paused trials as from pruned ones: most of them will never go on."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Any:
        return super().infer_relative_search_space(_with_paused_as_pruned(study), trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return super().sample_relative(_with_paused_as_pruned(study), trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        return super().sample_independent(_with_paused_as_pruned(study), trial, param_name, param_distribution)


def _with_paused_as_pruned(study: Study) -> Study:
    if not any(map(is_paused, study.get_trials(deepcopy=False))):
        return study
    seen, get_trials = copy(study), study._get_trials

    def trials(deepcopy: bool = True, states: Any = None, use_cache: bool = False) -> list[FrozenTrial]:
        every = get_trials(deepcopy=deepcopy, states=None, use_cache=use_cache)
        every = [_as_pruned(trial) if is_paused(trial) else trial for trial in every]
        return [trial for trial in every if states is None or trial.state in states]

    setattr(seen, "_get_trials", trials)  # noqa: B010
    return seen


def _as_pruned(trial: FrozenTrial) -> FrozenTrial:
    pruned = copy(trial)
    pruned.state = TrialState.PRUNED
    return pruned


SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": TPEWithPauses,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
}

PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "successive_halving": FirstPointHalving,
    "hyperband": optuna.pruners.HyperbandPruner,
    "patient": optuna.pruners.PatientPruner,
    "threshold": optuna.pruners.ThresholdPruner,
    "asha": Asha,
    "paired": Paired,
}


def make_sampler(spec: Mapping[str, Any], seed: int | None, trial: int = 0) -> BaseSampler:
    """Make the sampler of one trial, whose suggestions depend on nothing but the seed, its number and the study.

    So a study that was stopped resumes with the suggestions that it would have had: one sampler for all trials would
    continue its random numbers, and begin them again in a new process.

    Args:
        spec: `name`, and the keyword arguments of Optuna's class of that name. Not for the grid.
        seed: of the study; None draws differently each time.

    Raises:
        ConfigError: for an unknown name or argument.
    """
    if "seed" in spec:
        raise ConfigError(f"hydra.sweeper.sampler.seed={spec['seed']}: the seed of a study is hydra.sweeper.seed.")
    own = None if seed is None else random.Random(f"{seed}:{trial}").getrandbits(32)
    return cast(BaseSampler, _made("sampler", SAMPLERS, spec, seed=own))


def make_pruner(spec: Mapping[str, Any]) -> BasePruner:
    """Make a pruner from a spec like that of `make_sampler`; of patient, `wrapped` is the spec of another, or null."""
    options = dict(spec)
    if spec.get("name") == "patient":
        wrapped = options.pop("wrapped", None)
        options["wrapped_pruner"] = make_pruner(wrapped) if wrapped else None
        if isinstance(options["wrapped_pruner"], Pruner):
            name = wrapped["name"]
            raise ConfigError(f"hydra.sweeper.pruner (patient): {name} cannot be wrapped, only a pruner of Optuna's.")
    return cast(BasePruner, _made("pruner", PRUNERS, options))


def _made(what: str, classes: Mapping[str, Callable[..., Any]], spec: Mapping[str, Any], **more: Any) -> Any:
    options = {key: value for key, value in spec.items() if key != "name"}
    name = str(spec.get("name"))
    if name not in classes:
        known = [*classes, GRID] if what == "sampler" else list(classes)
        raise ConfigError(
            f"hydra.sweeper.{what}.name={name}: there is none of that name; {', '.join(known)}.{nearest(name, known)}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return classes[name](**options, **more)
    except (TypeError, ValueError, ImportError) as error:
        accepted = ", ".join(inspect.signature(classes[name]).parameters)
        raise ConfigError(f"hydra.sweeper.{what} ({name}): {error}. It takes: {accepted}.") from error
