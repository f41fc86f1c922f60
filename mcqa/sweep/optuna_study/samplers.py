"""Samplers and pruners by name, and a sampler whose suggestions depend on nothing but the seed and the study."""

import inspect
import random
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study
from optuna.trial import FrozenTrial

from mcqa.config.errors import ConfigError, nearest


class Rungs(BasePruner):
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
        self._pruner: BasePruner | None = None
        self._make = partial(
            SuccessiveHalvingPruner,
            reduction_factor=reduction_factor,
            min_early_stopping_rate=min_early_stopping_rate,
            bootstrap_count=bootstrap_count,
        )
        given = self._make(1 if min_resource == "first" else min_resource)  # tells what it does not take
        if min_resource != "first":
            self._pruner = given

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        if self._pruner is None:
            points = [point for one in study.get_trials(deepcopy=False) for point in one.intermediate_values]
            self._pruner = self._make(max(1, min(points)))
        return self._pruner.prune(study, trial)


GRID = "grid"  # enumerated by the study itself: Optuna's raises at its end and runs an enqueued default twice


SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "gp": optuna.samplers.GPSampler,
    "random": optuna.samplers.RandomSampler,
}


PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "successive_halving": Rungs,
    "hyperband": optuna.pruners.HyperbandPruner,
    "patient": optuna.pruners.PatientPruner,
    "threshold": optuna.pruners.ThresholdPruner,
}


class Seeded(BaseSampler):
    """Another sampler, made afresh for every trial and seeded from the seed and the trial's number.

    So a study that was closed goes on as if it had not: one sampler that is kept draws on from its generator, one
    that is made anew with the same seed begins again. Nothing is remembered but what is in the study.

    Args:
        common: keeps the dimensions that all trials share for a sampler that wants just these. They are the same
            however they are found; without what was found before, 2,000 trials are compared before every trial.
    """

    def __init__(
        self, make: Callable[[int | None], BaseSampler], seed: int | None, common: IntersectionSearchSpace | None
    ) -> None:
        self._make = make
        self._seed = seed
        self._common = common
        self._sampler = make(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The first call for a trial of which something must be drawn."""
        seed = None if self._seed is None else random.Random(f"{self._seed}:{trial.number}").getrandbits(32)
        self._sampler = self._make(seed)
        if self._common is None:
            return self._sampler.infer_relative_search_space(study, trial)
        found = self._common.calculate(study)
        return {name: distribution for name, distribution in found.items() if not distribution.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        found = self._sampler.sample_relative(study, trial, search_space)
        for name, distribution in trial.distributions.items():  # drawn already when a controller died while asking
            if name not in found and not distribution.single():
                self._sampler.sample_independent(study, trial, name, distribution)  # the generator where it was
        return found

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def make_sampler(spec: Mapping[str, Any], seed: int | None) -> BaseSampler:
    """
    Args:
        spec: `name`, and the keyword arguments of Optuna's class of that name. Not for the grid.

    Raises:
        ConfigError: for an unknown name or argument.
    """
    if "seed" in spec:
        raise ConfigError(f"hydra.sweeper.sampler.seed={spec['seed']}: the seed of a study is hydra.sweeper.seed.")

    def make(seed: int | None) -> BaseSampler:
        sampler: BaseSampler = _made("sampler", SAMPLERS, spec, seed=seed)
        return sampler

    joint = spec.get("name") == "tpe" and not {"multivariate", "group"} & set(spec)
    return Seeded(make, seed, IntersectionSearchSpace(include_pruned=True) if joint else None)


def make_pruner(spec: Mapping[str, Any]) -> BasePruner:
    """
    Args:
        spec: `name`, and the keyword arguments of Optuna's class of that name; of patient, `wrapped` is the spec of
            another pruner, or null.

    Raises:
        ConfigError: for an unknown name or argument.
    """
    options = dict(spec)
    if spec.get("name") == "patient":
        wrapped = options.pop("wrapped", None)
        options["wrapped_pruner"] = make_pruner(wrapped) if wrapped else None
    pruner: BasePruner = _made("pruner", PRUNERS, options)
    return pruner


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
