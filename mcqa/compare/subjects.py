"""By subject: where two configurations differ, corrected for the number of subjects, and whether subjects differ at
all."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.estimates import Correct, estimate
from mcqa.compare.tables import LABEL, NUMBER, Section, Table
from mcqa.data.question import Question
from mcqa.evaluation import statistics
from mcqa.evaluation.flips import FlipCounts, count
from mcqa.evaluation.metrics import ClusterBy, cluster_names
from mcqa.evaluation.report.formatting import one_line, p_equals, p_value, point_interval, points
from mcqa.evaluation.statistics.clusters import ClusterIds, FloatArray, cluster_ids

MOST_NAMED, LONGEST = 5, 40
DEALS = 2000  # of the permutation test
SEED = 0
ROUNDING = 1e-9


@dataclass(frozen=True)
class Subject:
    """The difference of a pair on the questions of one subject, and their flips. p_adjusted is that of Benjamini and
    Hochberg (1995) over all subjects and pairs: of those below 5 %, at most 5 % are expected to be false."""

    name: str
    questions: int
    difference: float
    estimate: statistics.Estimate
    p: float
    flips: FlipCounts
    p_adjusted: float

    @property
    def significant(self) -> bool:
        return self.p_adjusted < statistics.ALPHA


@dataclass(frozen=True)
class BySubject:
    """A pair by subject, the smallest p first. p_equal: of the hypothesis that the difference is the same in all
    subjects, for these runs; adjusted by Holm for the number of pairs."""

    pair: Pair
    subjects: tuple[Subject, ...]
    p_equal: float


def by_subject(comparison: Comparison, cluster: ClusterBy) -> list[BySubject]:
    """Test the pairs with the first configuration by subject; empty where there are fewer than two subjects.

    Where subjects are the clusters, questions within one are taken as independent but for facts and passages.
    """
    indices = _indices(comparison.questions)
    if len(indices) < 2:
        return []
    names = cluster_names(comparison.questions, "auto") if cluster == "subject" else comparison.cluster_names
    tested = [_tested(comparison, pair, indices, names) for pair in comparison.with_first]
    adjusted = iter(_benjamini_hochberg([p for subjects in tested for *_, p, _ in subjects]))
    equal = [_p_all_equal(comparison, pair, names) for pair in comparison.with_first]
    return [
        BySubject(pair, tuple(sorted((Subject(*its, next(adjusted)) for its in subjects), key=lambda its: its.p)), p)
        for pair, subjects, p in zip(comparison.with_first, tested, statistics.holm(equal), strict=True)
    ]


def _indices(questions: Sequence[Question]) -> dict[str, list[int]]:
    subjects: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        subjects.setdefault(question.subject or "no subject", []).append(index)
    return subjects


def _tested(
    comparison: Comparison, pair: Pair, indices: dict[str, list[int]], names: Sequence[str] | None
) -> list[tuple[str, int, float, statistics.Estimate, float, FlipCounts]]:
    sides = pair.before, pair.after
    trained = all(comparison.configurations[i].trained for i in sides)
    before, after = (np.asarray(comparison.correct[i]) for i in sides)
    rows = []
    for name, own in indices.items():
        one, other = before[:, own].tolist(), after[:, own].tolist()
        found = estimate(one, other, None if names is None else [names[i] for i in own], trained)
        flips = count([pair.flips[i] for i in own], name)
        rows.append((name, len(own), _difference(one, other), found, found.p, flips))
    return rows


def _difference(before: Correct, after: Correct) -> float:
    return float(np.mean(after) - np.mean(before))


def _benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(ps)]


def _p_all_equal(comparison: Comparison, pair: Pair, names: Sequence[str] | None) -> float:
    differences = np.mean(comparison.correct[pair.after], 0) - np.mean(comparison.correct[pair.before], 0)
    return p_all_equal(differences, [question.subject for question in comparison.questions], names)


def p_all_equal(
    differences: FloatArray, subjects: Sequence[str], clusters: Sequence[str] | None, deals: int = DEALS
) -> float:
    """Return the p-value of the hypothesis that the difference is the same in all subjects, for differences[Q].

    The statistic is Welch's (1951), the squared deviations of the subjects' means over their variances; one cluster
    gained and one lost are added to each variance, as Bonett & Price (2012) add a question each. Subjects are dealt
    anew to the clusters of questions, and p is the share of deals with as large a statistic; as it is studentised, that
    holds approximately where subjects differ in variance only (Pauly, Brunner & Konietschke 2015).
    """
    ids = cluster_ids(clusters, len(differences))
    dealt = cluster_ids([f"{subject}\0{cluster}" for subject, cluster in zip(subjects, ids, strict=True)], len(ids))
    first = np.unique(dealt, return_index=True)[1]
    of, sums, sizes = (
        cluster_ids(subjects, len(ids))[first],
        np.asarray(np.bincount(dealt, differences), float),
        np.bincount(dealt),
    )
    generator = np.random.default_rng(SEED)
    observed = _between(sums, sizes, of)
    reached = sum(_between(sums, sizes, generator.permutation(of)) >= observed - ROUNDING for _ in range(deals))
    return (1 + reached) / (1 + deals)


def _between(sums: FloatArray, sizes: ClusterIds, of: ClusterIds) -> float:
    """sums[U] and sizes[U] of clusters within subjects, of[U] their subjects."""
    total, questions = np.bincount(of, sums), np.bincount(of, sizes)
    squares, products = np.bincount(of, sums**2), np.bincount(of, sums * sizes)
    means, added = total / questions, float(sizes.mean())
    residual = np.maximum(squares - 2 * means * products + means**2 * np.bincount(of, sizes**2), 0.0)
    weights = (questions + 2 * added) ** 2 / (residual + 2 * added**2)
    centre = (weights * means).sum() / weights.sum()
    return float((weights * (means - centre) ** 2).sum())


def sections(comparison: Comparison, cluster: ClusterBy) -> list[Section]:
    """Return the section of the subjects; none where there are fewer than two."""
    found = by_subject(comparison, cluster)
    return [_section(comparison, found)] if found else []


def _section(comparison: Comparison, found: Sequence[BySubject]) -> Section:
    tests = [(its.pair, subject) for its in found for subject in its.subjects]
    star = {True: " *", False: "  "}
    headings = ("questions", "points (95 %)", "flips", "p", "p (BH)")
    rows = [
        [
            f"{pair.after + 1} vs {pair.before + 1}",
            one_line(subject.name, LONGEST),
            str(subject.questions),
            _points(subject),
            sentences.flips(comparison, pair, subject.flips),
            p_value(subject.p),
            p_value(subject.p_adjusted) + star[subject.significant],
        ]
        for pair, subject in tests
    ]
    return Section(
        name="subjects",
        title="Differences by subject",
        table=Table([("", LABEL), ("", LABEL), *((heading, NUMBER) for heading in headings)], rows),
        note="p (BH): adjusted for all rows (Benjamini and Hochberg); * significant, false discovery rate 5 %.",
        answers=[_sentence(comparison, its) for its in found],
        rows=list(_rows(comparison, found)),
    )


def _points(subject: Subject) -> str:
    """Without an interval where the subject is one question or cluster."""
    if math.isnan(subject.estimate.standard_error):
        return points(subject.difference)
    return f"{points(subject.difference)} ({point_interval(*subject.estimate.interval(0.95))})"


def _sentence(comparison: Comparison, its: BySubject) -> str:
    """Say how many subjects differ, which, and whether subjects differ from each other."""
    names = f"{comparison.label(its.pair.after)} against {comparison.label(its.pair.before)}, by subject"
    found = [subject for subject in its.subjects if subject.significant]
    listed = ", ".join(
        f"{one_line(subject.name, LONGEST)} {points(subject.difference)}" for subject in found[:MOST_NAMED]
    )
    which = f" ({listed}{', …' if len(found) > MOST_NAMED else ''})" if found else ""
    varies = "varies" if its.p_equal < statistics.ALPHA else "is not shown to vary"
    return (
        f"{names}: {len(found)} of {len(its.subjects)} significant{which}, false discovery rate 5 %; the difference "
        f"{varies} between subjects (permutation test, {p_equals(its.p_equal)}; of these runs)."
    )


def _rows(comparison: Comparison, found: Sequence[BySubject]) -> Iterator[dict[str, object]]:
    for its in found:
        for subject in its.subjects:
            low, high = subject.estimate.interval(0.95)
            yield {
                "before": comparison.label(its.pair.before),
                "after": comparison.label(its.pair.after),
                "subject": subject.name,
                "questions": subject.questions,
                "difference": subject.difference,
                "low": low,
                "high": high,
                **{str(kind): number for kind, number in subject.flips.by_kind.items()},
                "net": subject.flips.net,
                "p": subject.p,
                "p_benjamini_hochberg": subject.p_adjusted,
                "significant": subject.significant,
                "p_all_subjects_equal": its.p_equal,
            }
