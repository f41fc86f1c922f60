"""A best value at an end of its range: better ones may lie beyond, so a wider range to try is named."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mcqa.sweep.report import best_experiment, sentences
from mcqa.sweep.report.seed_variance import SEED
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord, is_number
from mcqa.sweep.report.ties import StudyResult
from mcqa.sweep.space.dimension import Dimension, Number, choice, factors, interval
from mcqa.sweep.space.parsing import read_dimension

NEAR = 0.05  # share of an interval that counts as its end


@dataclass(frozen=True)
class Edge:
    """A key whose best value lies at an end of its range."""

    key: str
    upwards: bool  # whether it is the upper one
    text: str  # such as `optimizer.learning_rate = 0.02 (10 ×), tried from 0.1 to 10 ×`


def notes(study: StudyRecord, result: StudyResult) -> list[str]:
    """Return a sentence on the best values that lie at an end of their ranges, with a command to try wider ones.

    A key whose other half has a trial that is tied with the best is left out: its end is no better than its middle.
    """
    best = result.best
    if best is None or len(study.complete) < 2:
        return []
    tied = [trial for trial in study.complete if trial.number in result.tied]
    found = [edge for key in best.params if (edge := find_edge(study, key, best, tied)) is not None]
    texts = sentences.listed([edge.text for edge in found])
    return [sentence(texts, found, study)] if found else []


def sentence(texts: str, found: Sequence[Edge], study: StudyRecord) -> str:
    """Return that these best values are at an end, and a command to look beyond. texts: which ones."""
    wider = command(study, _overrides(study, found))
    return f"Best at an end of what was tried, so that better values may lie beyond: {texts}. To look there: {wider}"


def _overrides(study: StudyRecord, found: Sequence[Edge]) -> list[str]:
    """The overrides with wider ranges, of a key at both ends where both were the best."""
    overrides = []
    for key in dict.fromkeys(edge.key for edge in found):
        dimension = _numbers(study, key)
        assert dimension is not None
        for upwards in sorted({edge.upwards for edge in found if edge.key == key}):
            dimension = _wider(dimension, upwards) or dimension
        overrides.append(f"{dimension.key}={dimension.grammar}")
    return overrides


def find_edge(study: StudyRecord, key: str, best: TrialRecord, tied: Sequence[TrialRecord] = ()) -> Edge | None:
    """Return the key where its value in `best` is at an end of its range and none of the tied ones in the other half.

    None too where there can be no wider range, such as below 0.
    """
    dimension = _numbers(study, key)
    if dimension is None or key == SEED or not is_number(best.params.get(key)):
        return None
    place, *others = [_place(dimension, trial.params[key]) for trial in (best, *tied) if key in trial.params]
    near = 0.0 if dimension.enumerable else NEAR
    if near < place < 1 - near or any((other < 0.5) != (place < 0.5) for other in others):
        return None
    if _wider(dimension, upwards=place > 0.5) is None:
        return None
    values = sorted(dimension.values_or_ends())
    times = " ×" if dimension.is_factor else ""
    tried = f"tried from {values[0]:.4g} to {values[-1]:.4g}{times}"
    return Edge(key, place > 0.5, f"{key} = {sentences.setting(best, key)}, {tried}")


def command(study: StudyRecord, changed: Sequence[str]) -> str:
    """Return the command of a study like this one with these overrides in the place of its own."""
    return best_experiment.command_again(study, *changed, f"hydra.sweeper.study_name={study.name}-wider")


def _numbers(study: StudyRecord, key: str) -> Dimension | None:
    """The range of a key with at least three numbers, by its text in study.yaml."""
    space = study.description.get("space")
    texts = (
        {str(name).lstrip("+"): (str(name), text) for name, text in space.items()} if isinstance(space, dict) else {}
    )
    try:
        dimension = read_dimension(*texts[key])
    except (KeyError, ValueError):
        return None
    if dimension is None or not all(map(is_number, dimension.options)):
        return None
    return dimension if not dimension.enumerable or len({*dimension.values()}) > 2 else None


def _place(dimension: Dimension, value: Number) -> float:
    """Where the value lies from the lowest, 0, to the highest, 1; in a list by its rank."""
    values = sorted(dimension.values_or_ends())
    if dimension.enumerable:
        return float(sum(other < value for other in values) / (len(values) - 1))
    scale = math.log if dimension.is_log else float
    low, here, high = (scale(each) for each in (values[0], value, values[-1]))
    return float((here - low) / (high - low)) if high > low else 0.5


def _wider(dimension: Dimension, upwards: bool) -> Dimension | None:
    """Half as wide again, at one end; None where that end cannot move."""
    values = sorted(dimension.values_or_ends())
    whole = all(isinstance(value, int) for value in values) and not dimension.is_factor
    if dimension.enumerable:
        added = [each for each in _next(values, upwards) if each > 0 and (not whole or each == int(each))]
        if not added:
            return None
        numbers = sorted({*values, *(int(each) if whole else each for each in added)})
        wider = choice(dimension.key, numbers)
    else:
        end = _end(values, dimension.is_log, upwards)
        end = max(round(end), min(values[0], 1)) if whole else max(end, min(values[0], 0.0))
        low, high = (values[0], end) if upwards else (end, values[-1])
        if (low, high) == tuple(values):
            return None
        wider = interval(dimension.key, low, high, dimension.is_log)
    return factors(wider) if dimension.is_factor else wider


def _next(values: Sequence[Number], upwards: bool) -> list[float]:
    """Two more values as the last three of the list go on: by their ratio, or by their difference where one is 0."""
    *_, third, second, first = values if upwards else values[::-1]
    if third == 0 or first == 0:
        return [_round(each + first - third) for each in (second, first)]
    return [_round(each * first / third) for each in (second, first)]


def _end(ends: Sequence[Number], log: bool, upwards: bool) -> float:
    low, high = ends
    if log:
        return _round(high * math.sqrt(high / low) if upwards else low / math.sqrt(high / low))
    return _round(high + (high - low) / 2 if upwards else low - (high - low) / 2)


def _round(number: float) -> float:
    return float(f"{number:.3g}")
