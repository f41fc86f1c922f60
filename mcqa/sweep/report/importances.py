"""How much each parameter mattered: Optuna's importances with intervals, and which parameters are shown to matter.

An importance says how differently the best trials are distributed over a parameter than all trials (PED-ANOVA). It is
positive where nothing matters, too, so a test of its own says which parameters matter.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mcqa.evaluation.statistics.clusters import ALPHA, FloatArray
from mcqa.sweep.options import Direction
from mcqa.sweep.report.study_data import StudyRecord, SweptKey, TrialRecord, is_number
from mcqa.sweep.report.ties import Estimate

TOP = 5  # trials that count as the best ones, at least: fewer make PED-ANOVA unstable, as Optuna's documentation says
QUANTILE = 0.1  # share of the trials that counts as the best ones where that is more
FEWEST = 2 * TOP  # trials to compare
REACHED = 2 / 3  # share of the trials at the point whose values are compared where too few are complete
RESAMPLES, MOST_DRAWN = 100, 10_000  # resamples, and trials in all of them: of a large study fewer are enough
SEED = 0


@dataclass(frozen=True)
class Importances:
    """The importance of each parameter, the largest first; `of` is empty where too few trials can be compared.

    point: the point whose values are compared; None: the final values of complete trials.
    """

    of: Mapping[str, Estimate] = field(default_factory=dict)
    trials: int = 0  # that are compared, or could be
    point: int | None = None
    matter: tuple[str, ...] = ()  # the keys that are shown to matter, the clearest first
    tested: bool = False

    @property
    def enough(self) -> bool:
        return self.trials >= FEWEST


def importances(study: StudyRecord, problems: list[str]) -> Importances:
    """Compute the importances; what Optuna cannot make of the study is added to `problems`."""
    trials, values, point = _compared(study)
    if len(trials) < FEWEST:
        return Importances(trials=len(trials), point=point)
    matter, tested = shown_to_matter(study.swept, trials, values)
    try:
        of = _estimates(study, trials, values) if study.storage is not None and len(study.swept) > 1 else {}
    except Exception as error:  # whatever Optuna makes of an odd study
        problems.append(f"Optuna could not compute the importances: {type(error).__name__}: {error}.")
        of = {}
    return Importances(of, len(trials), point, matter, tested)


def _compared(study: StudyRecord) -> tuple[Sequence[TrialRecord], list[float], int | None]:
    """The complete trials and their values if most are complete, else those at the last point that most have reached.

    Where a pruner chose which trials are complete they are the good ones, and do not show what makes others bad.
    """
    values = [trial.value for trial in study.complete if trial.value is not None]
    reported = [dict(trial.reports) for trial in study.trials]
    needed = REACHED * sum(map(bool, reported))
    points = sorted({point for reports in reported for point in reports})
    point = next((p for p in reversed(points) if sum(p in reports for reports in reported) >= needed), None)
    there = [trial for trial, reports in zip(study.trials, reported, strict=True) if point in reports]
    if point is None or len(values) >= max(FEWEST, needed) or len(there) <= len(values):
        return study.complete, values, None
    return there, [dict(trial.reports)[point] for trial in there], point


# --- importances ------------------------------------------------------------------------------------------------------


def _estimates(study: StudyRecord, trials: Sequence[TrialRecord], values: Sequence[float]) -> dict[str, Estimate]:
    """Each importance with its interval: the percentiles over studies of trials drawn with replacement."""
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, create_trial

    stored = {trial.number: trial for trial in study.storage.get_trials(deepcopy=False)}
    frozen: list[FrozenTrial] = []
    for trial, value in zip(trials, values, strict=True):
        if (known := stored.get(trial.number)) and known.params:
            distributions: dict[str, BaseDistribution] = known.distributions
            frozen.append(create_trial(value=value, params=known.params, distributions=distributions))
    keys = [swept.key for swept in study.swept if any(swept.key in trial.params for trial in frozen)]
    if len(frozen) < FEWEST or len(keys) < 2:
        return {}
    generator, count = np.random.default_rng(SEED), len(frozen)
    resamples = max(20, min(RESAMPLES, MOST_DRAWN // count))
    drawn = [[frozen[i] for i in generator.integers(0, count, count)] for _ in range(resamples)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few trials, which the page says in its own words
        point = _weights(frozen, study.direction)
        several = [_weights(some, study.direction) for some in drawn]
    table = np.array([[weights.get(key, 0.0) for key in keys] for weights in several])
    low, high = np.quantile(table, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    found = {key: Estimate(point.get(key, 0.0), float(a), float(b)) for key, a, b in zip(keys, low, high, strict=True)}
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def _weights(trials: Iterable[Any], direction: Direction) -> dict[str, float]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it says that it creates a study
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), direction=direction)
    study.add_trials(trials)
    quantile = max(QUANTILE, TOP / len(study.get_trials(deepcopy=False)))
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=quantile))


# --- which parameters matter ------------------------------------------------------------------------------------------


def shown_to_matter(
    swept: Sequence[SweptKey], trials: Sequence[TrialRecord], values: Sequence[float]
) -> tuple[tuple[str, ...], bool]:
    """Return the keys on which the values depend beyond chance, the clearest first, and whether any could be tested.

    The ranks of the values (Conover and Iman 1981) are regressed on each parameter: a parabola of its ranks, so that a
    best value in the middle is found, or its choices. The clearest parameter by the F test is taken into the regression
    as long as its p, times the number of parameters that are left (Bonferroni), is below 5 %: a sampler moves several
    parameters at once, and what one of them explains is no merit of another.
    """
    columns = {
        key.key: _columns(key, [trial.params[key.key] for trial in trials])
        for key in swept
        if all(key.key in trial.params for trial in trials)
    }
    ranks, base = _ranks(np.asarray(values, float)), np.ones((len(values), 1))
    found: list[str] = []
    tested = False
    while columns:
        ps = {key: p for key, own in columns.items() if (p := _p(ranks, base, own)) is not None}
        tested = tested or bool(ps)
        key = min(ps, key=ps.__getitem__, default=None)
        if key is None or ps[key] * len(columns) >= ALPHA:
            break
        found.append(key)
        base = np.column_stack([base, columns.pop(key)])
    return tuple(found), tested


def _columns(swept: SweptKey, values: Sequence[Any]) -> FloatArray:
    """A parabola of the ranks of numbers, of at least four different ones; else a column for each choice."""
    if all(map(is_number, values)) and len(set(values)) > 3:
        ranks = _ranks(np.asarray(values, float))
        scaled = (ranks - ranks.mean()) / ranks.std()
        return np.column_stack([scaled, scaled**2])
    kinds = sorted({repr(value) for value in values})
    return np.array([[repr(value) == kind for kind in kinds[1:]] for value in values], float)


def _ranks(values: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), float)


def _p(ranks: FloatArray, base: FloatArray, own: FloatArray) -> float | None:
    """The F test of what `own` explains beyond `base`; None where too few trials are left to judge by."""
    from scipy.special import fdtrc

    both = np.column_stack([base, own])
    rank = int(np.linalg.matrix_rank(both))
    added, left = rank - int(np.linalg.matrix_rank(base)), len(ranks) - rank
    if added < 1 or left < 3:
        return None
    before, after = _residual(ranks, base), _residual(ranks, both)
    if before - after <= 1e-9 * len(ranks):
        return 1.0
    return float(fdtrc(added, left, (before - after) / added / (after / left))) if after > 1e-9 else 0.0


def _residual(ranks: FloatArray, columns: FloatArray) -> float:
    fitted = columns @ np.linalg.lstsq(columns, ranks, rcond=None)[0]
    return float(((ranks - fitted) ** 2).sum())
