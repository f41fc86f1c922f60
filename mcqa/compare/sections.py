"""The further questions that a comparison answers, each with its section on the page, its table and its CSV file."""

from collections.abc import Iterator

from mcqa.compare import calibration, losses, margin, noise, plan, question_sets, subjects
from mcqa.compare.analysis import Comparison
from mcqa.compare.options import Options
from mcqa.compare.tables import Section


def answer(comparison: Comparison, options: Options) -> list[Section]:
    """Return the sections that were asked for or that the runs have data for."""
    return list(_sections(comparison, options))


def _sections(comparison: Comparison, options: Options) -> Iterator[Section]:
    if options.margin is not None:
        yield margin.section(comparison, options.margin)
    if options.plan is not None:
        yield from plan.sections(comparison, options.plan, options.seed_sd)
    if options.sets is not None:
        yield question_sets.section(comparison, options)
    yield from losses.sections(comparison)
    yield from noise.sections(comparison)
    yield from subjects.sections(comparison, options.cluster)
    yield calibration.section(comparison)
