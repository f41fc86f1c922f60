"""How well are they calibrated? Expected calibration errors, before and after temperature scaling, and their tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from mcqa.compare import sentences, tables
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.configurations import Configuration
from mcqa.compare.estimates import Adjusted, adjust
from mcqa.compare.tables import LABEL, NUMBER, Section, Table
from mcqa.config.errors import ConfigError, DataError, FileError
from mcqa.evaluation.calibration import fit_temperature
from mcqa.evaluation.calibration_error import (
    CalibrationError,
    calibration_difference,
    calibration_error,
)
from mcqa.evaluation.report.formatting import p_equals, p_value, signed
from mcqa.evaluation.statistics import ALPHA, Estimate
from mcqa.evaluation.statistics.clusters import cluster_ids

NOTE = (
    "Debiased ECE: the expected calibration error without what chance adds; T: scores divided by the temperature that "
    "dev fits. By summed scores."
)


@dataclass(frozen=True)
class PairCalibration:
    """The calibration errors of the seeds of one pair, and the test of their difference. adjusted: for the number
    of pairs. scaled: at the temperatures that each run's dev fits."""

    pair: Pair
    scaled: bool
    before: Sequence[CalibrationError]
    after: Sequence[CalibrationError]
    difference: Estimate
    adjusted: Adjusted

    @property
    def significant(self) -> bool:
        return self.adjusted.p < ALPHA


def calibrations(comparison: Comparison) -> list[PairCalibration]:
    """Return every pair as measured, and then at its temperatures, where every run has predictions for dev."""
    configurations = comparison.configurations
    plain = [[1.0] * len(configuration.predictions) for configuration in configurations]
    fitted = [temperatures(configuration) for configuration in configurations]
    found = _tested(comparison, plain, scaled=False)
    known = [temperature for temperature in fitted if temperature is not None]
    return found + (_tested(comparison, known, scaled=True) if len(known) == len(fitted) else [])


def temperatures(configuration: Configuration) -> list[float] | None:
    """Return the temperature that dev fits for each seed; None where dev was measured here or cannot be read."""
    dev = "base/dev" if configuration.split.startswith("base/") else "dev"
    if configuration.split == dev:
        return None
    runs = configuration.runs[: len(configuration.predictions)]
    try:
        return [fit_temperature(run.predictions(dev)) for run in runs]
    except (ConfigError, DataError, FileError):
        return None


def _tested(comparison: Comparison, at: Sequence[Sequence[float]], scaled: bool) -> list[PairCalibration]:
    names = comparison.cluster_names
    errors = [
        [calibration_error(rows, t, names) for rows, t in zip(one.predictions, own, strict=True)]
        for one, own in zip(comparison.configurations, at, strict=True)
    ]
    sides = [(errors[pair.before], errors[pair.after]) for pair in comparison.pairs]
    trained = [configuration.trained for configuration in comparison.configurations]
    differences = [
        calibration_difference(*both, names, every_side_has_seeds=trained[pair.before] and trained[pair.after])
        for pair, both in zip(comparison.pairs, sides, strict=True)
    ]
    parts = [np.array([error.parts for error in own]) for own in errors]
    pairs = [(pair.before, pair.after) for pair in comparison.pairs]
    adjusted = adjust(differences, parts, cluster_ids(names, len(comparison.questions)), pairs)
    return [
        PairCalibration(pair, scaled, *both, difference, of)
        for pair, both, difference, of in zip(comparison.pairs, sides, differences, adjusted, strict=True)
    ]


def section(comparison: Comparison) -> Section:
    found = calibrations(comparison)
    headings = ("debiased ECE", tables.interval_heading(comparison, "difference"), tables.p_heading(comparison))
    rows = [
        [
            f"{one.pair.after + 1} vs {one.pair.before + 1}{', T' if one.scaled else ''}",
            f"{_mean(one.before, 'debiased'):.3f} → {_mean(one.after, 'debiased'):.3f}",
            f"{signed(one.difference.centre, 3)} ({_interval(one)})",
            p_value(one.adjusted.p) + (" *" if one.significant else "  "),
        ]
        for one in found
    ]
    return Section(
        name="calibration",
        title="Calibration",
        table=Table([("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note=NOTE,
        answers=list(_sentences(comparison, found)),
        rows=list(_rows(comparison, found)),
    )


def _mean(errors: Sequence[CalibrationError], name: str) -> float:
    return fmean(getattr(error, name) for error in errors)


def _interval(one: PairCalibration) -> str:
    return " to ".join(signed(end, 3).lstrip("+") for end in one.adjusted.interval)


def _sentences(comparison: Comparison, found: Sequence[PairCalibration]) -> Iterator[str]:
    """One sentence for the calibration as measured, and one for that at the temperatures."""
    for scaled in (False, True):
        pairs = [one for one in found if one.scaled is scaled]
        where = "Calibration at temperatures fitted on dev" if scaled else "Calibration"
        if len(pairs) == 1:
            yield f"{where}: {_sentence(comparison, pairs[0])}"
        elif pairs:
            differ = sum(one.significant for one in pairs)
            yield f"{where}: {differ} of {len(pairs)} pairs differ significantly ({sentences.adjusted(comparison)})."


def _sentence(comparison: Comparison, one: PairCalibration) -> str:
    before, after = comparison.label(one.pair.before), comparison.label(one.pair.after)
    result = f"the debiased error of {after} is significantly {'lower' if one.difference.centre < 0 else 'higher'}"
    if one.significant:
        result += f" than that of {before}"
    else:
        result = f"no statistically significant difference between {after} and {before}"
    numbers = f"{signed(one.difference.centre, 3)}, 95 % CI {_interval(one)}, {p_equals(one.adjusted.p)}"
    return f"{result} ({numbers}; {sentences.about(comparison, one.pair)})."


def _rows(comparison: Comparison, found: Sequence[PairCalibration]) -> Iterator[dict[str, object]]:
    for one in found:
        row: dict[str, object] = {
            "before": comparison.label(one.pair.before),
            "after": comparison.label(one.pair.after),
            "at_temperatures_of_dev": one.scaled,
        }
        for side, errors in (("before", one.before), ("after", one.after)):
            row |= {f"{name}_{side}": _mean(errors, name) for name in ("ece", "if_calibrated", "debiased")}
        low, high = one.difference.interval(0.95)
        row |= {"difference": one.difference.centre, "low": low, "high": high, "p": one.difference.p}
        low, high = one.adjusted.interval
        yield row | {"simultaneous_low": low, "simultaneous_high": high, "p_adjusted": one.adjusted.p}
