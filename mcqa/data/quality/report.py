"""What is wrong with a set: the report on its questions, and the scores that would mean nothing.

A report is made before any model is loaded, from the questions as they are shown. Intervals and p-values count each
cluster or passage once, since questions that belong together are not independent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.prompt_styles import templates
from mcqa.config.schema import Config, DataConfig
from mcqa.data.checks import has_equal_choices
from mcqa.data.conversations.conversation import Entry
from mcqa.data.quality import duplicates
from mcqa.data.quality.duplicates import Traits
from mcqa.data.question import Question
from mcqa.data.splits import related

UNLIKELY = 1e-6  # probability that right answers which are spread evenly are all at one position
SKEWED = 1e-3  # p-value of positions from which on they are said to be spread unevenly
LARGE_OVERLAP = 0.01  # share of dev or test
MUCH_ABOVE_CHANCE = 0.1  # accuracy of a rule that never sees the question
FEWEST_EXPECTED = 5  # right answers at each position, for the chi-squared test
FEW_WORDS, MANY_WORDS = 3, 1000
LISTED = 20  # ids of a finding
FEW = 20  # questions of dev or test


@dataclass(frozen=True)
class Found:
    """How many questions something was found in, and the first of their ids."""

    count: int
    ids: list[str]


@dataclass(frozen=True)
class Accuracy:
    """The share that is right without the question being read, its 95 % interval, and what guessing reaches."""

    share: float
    low: float
    high: float
    chance: float

    @property
    def is_much_above_chance(self) -> bool:
        """Whether it is significantly above chance, and not just a little."""
        return self.low > self.chance and self.share >= self.chance + MUCH_ABOVE_CHANCE


@dataclass(frozen=True)
class SplitReport:
    """What was found in the questions of a split or further set.

    positions: how many right answers are the first, second, … option; position_p: p-value of the chi-squared test that
    each option of a question is right equally often, None where there are too few questions for it; longest, shortest:
    of always choosing this option, ties shared equally; duplicates: questions that are there before; reordered: that
    are, with options in another order, case or white space; conflicts: questions with the same choices of which another
    one is right; short: of less than FEW_WORDS words; long: with choices and passage of more than MANY_WORDS.
    """

    questions: int
    chance: float
    positions: list[int]
    position_p: float | None
    longest: Accuracy
    shortest: Accuracy
    duplicates: Found
    reordered: Found
    near_duplicates: Found
    conflicts: Found
    repeated_choices: Found
    short: Found
    long: Found


@dataclass(frozen=True)
class Overlap:
    """Which questions of a split are in train too.

    asked: the same question and passage, whatever the choices; answered: with the same right answer; near: nearly.
    """

    asked: Found
    answered: Found
    near: Found


@dataclass(frozen=True)
class SetReport:
    """The report on the questions of a run. overlap_with_train: by split or further set. choices_only: of a small model
    that was fitted to the choices of train, on dev; None where one of them is not there."""

    splits: dict[str, SplitReport]
    overlap_with_train: dict[str, Overlap]
    choices_only: Accuracy | None
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def report_on(config: Config, splits: Mapping[str, Sequence[Question]]) -> SetReport:
    """Return the report on the questions of a run, as load_run_data returns them."""
    splits = {split: questions for split, questions in splits.items() if questions}
    traits = duplicates.traits_of(splits)
    reports = {split: _split_report(questions, traits[split]) for split, questions in splits.items()}
    others = [split for split in splits if split != "train"] if "train" in splits else []
    overlaps = {split: _overlap(splits[split], traits[split], traits["train"]) for split in others}
    choices_only = None
    if "train" in splits and "dev" in splits:
        from mcqa.data.quality.choices_only import choices_only_answers

        choices_only = _accuracy(splits["dev"], choices_only_answers(splits["train"], splits["dev"]))
    warnings = [
        *(line for split, one in reports.items() for line in _warnings(config, split, one)),
        *(line for split, one in overlaps.items() for line in _overlap_warnings(split, one, reports[split].questions)),
    ]
    if choices_only is not None and choices_only.is_much_above_chance:
        warnings.append(
            f"dev: {choices_only_sentence(choices_only)} evaluation.choices_only=true measures what the language model "
            "does without it."
        )
    return SetReport(reports, overlaps, choices_only, warnings)


def choices_only_sentence(accuracy: Accuracy) -> str:
    """Return what the choices of train say about the answers of dev."""
    return (
        f"A small model of the choices alone, which never sees the question, is right in {_percent(accuracy.share)} of "
        f"dev (95 % interval {_percent(accuracy.low)} to {_percent(accuracy.high)}; chance "
        f"{_percent(accuracy.chance)})."
    )


def refuse_meaningless(config: Config, splits: Mapping[str, Sequence[Question]], trains: bool = True) -> None:
    """Refuse what would be learned or measured by the position of the right answer alone, or on what was learned.

    trains: train is trained on, and not measured.

    Raises:
        DataError: prompts show the options in an order in which the right one is always at the same place, or dev or
            test is part of train and data.allow_overlap is false.
    """
    shown = [split for split in splits if split != "train" or not trains or config.shuffle_seed is None]
    problems = list(_constant_positions(config, splits, shown))
    if trains and not config.data.allow_overlap and "train" in splits:
        problems += _complete_overlaps(splits)
    if problems:
        raise DataError("\n".join(problems))


# --- positions -------------------------------------------------------------------------------------------------------


def _constant_positions(
    config: Config, splits: Mapping[str, Sequence[Question]], shown: Iterable[str]
) -> Iterator[str]:
    places: dict[tuple[str, str], list[str]] = {}
    for split in shown:
        place = constant_position(splits[split])
        if place is None and "train" in splits and _data_key(config, split) == "data":
            place = constant_position([*splits["train"], *splits[split]])  # too few by themselves
        if place is not None and _shows_options(config, split):
            places.setdefault((place, _data_key(config, split)), []).append(split)
    for (place, key), names in places.items():
        yield (
            f"{', '.join(names)}: the right answer is {place} in all {sum(len(splits[name]) for name in names)} "
            f"questions. prompt={config.prompt.style} shows the options in this order, so a model that has learned the "
            f"position alone answers all of them, and its score means nothing. Take {key}.shuffle_choices=true: each "
            "question then shows its options in an order of its own."
        )


def constant_position(questions: Sequence[Question]) -> str | None:
    """Return the place that all right answers have, in words, where that is no chance; None where they have no such
    place."""
    by_chance = 1.0
    for question in questions:
        by_chance /= len(question.choices)
    if by_chance > UNLIKELY:
        return None
    if len({question.answer for question in questions}) == 1:
        return f"option {ascii_uppercase[questions[0].answer : questions[0].answer + 1] or questions[0].answer + 1}"
    return "the last option" if all(question.answer == len(question.choices) - 1 for question in questions) else None


def position_p_value(questions: Sequence[Question]) -> float | None:
    """Return the p-value of Pearson's chi-squared test that each option of a question is right equally often.

    Questions may have different numbers of options: the deviations from the expected counts are weighed by their
    covariance, the sum of those of the single questions. Positions that are expected to be right fewer than
    FEWEST_EXPECTED times count as one with the position before them. None where there is only one in the end.
    """
    import numpy as np
    from scipy.stats import chi2

    sizes = Counter(len(question.choices) for question in questions)
    most, share_of_independent = max(sizes), _independent(questions) / len(questions)
    expected, covariance = np.zeros(most), np.zeros((most, most))
    for size, count in sizes.items():
        expected[:size] += count / size
        covariance[:size, :size] += count * (np.eye(size) / size - 1 / size**2)
    counts = np.bincount([question.answer for question in questions], minlength=most)
    enough = int((expected * share_of_independent >= FEWEST_EXPECTED).sum())  # they are the first ones
    if enough < 2:
        return None
    merged = np.eye(enough, most)
    merged[-1, enough:] = 1
    deviation = merged @ (counts - expected)
    statistic = float(share_of_independent * deviation @ np.linalg.pinv(merged @ covariance @ merged.T) @ deviation)
    p_value: float = chi2.sf(statistic, enough - 1)
    return float(p_value)


def _shows_options(config: Config, split: str) -> bool:
    return templates(config.prompt_of(split)).shows_options


def _data_of(config: Config, split: str) -> tuple[DataConfig, str]:
    """The data that a split or further set is read by, and its key."""
    if split == "dev" and config.evaluation.dev is not None:
        return config.evaluation.dev.data, "evaluation.dev"
    for number, one in enumerate(config.evaluation.sets):
        if one.name == split:
            return one.data, f"evaluation.sets[{number}]"
    return config.data, "data"


def _data_key(config: Config, split: str) -> str:
    return _data_of(config, split)[1]


# --- one split -------------------------------------------------------------------------------------------------------


def _split_report(questions: Sequence[Question], traits: Sequence[Traits]) -> SplitReport:
    positions = Counter(question.answer for question in questions)
    words = [len(question.question.split()) for question in questions]
    all_words = [
        count + sum(len(text.split()) for text in (question.context, *question.choices))
        for question, count in zip(questions, words, strict=True)
    ]
    return SplitReport(
        questions=len(questions),
        chance=chance(questions),
        positions=[positions[place] for place in range(max(len(question.choices) for question in questions))],
        position_p=position_p_value(questions),
        longest=_accuracy(questions, [_share_of_extreme(question, max) for question in questions]),
        shortest=_accuracy(questions, [_share_of_extreme(question, min) for question in questions]),
        duplicates=_found(questions, exact := duplicates.repeated([question.content for question in questions])),
        reordered=_found(questions, sorted(set(duplicates.repeated([one.whole for one in traits])) - set(exact))),
        near_duplicates=_found(questions, [number for number, _ in duplicates.nearly_repeated(traits)]),
        conflicts=_found(questions, [number for group in duplicates.conflicting(traits) for number in group]),
        repeated_choices=_found(questions, [n for n, one in enumerate(questions) if has_equal_choices(one)]),
        short=_found(questions, [n for n, count in enumerate(words) if count < FEW_WORDS]),
        long=_found(questions, [n for n, count in enumerate(all_words) if count > MANY_WORDS]),
    )


def chance(questions: Sequence[Question]) -> float:
    """Return the accuracy of guessing."""
    return fmean(1 / len(question.choices) for question in questions)


def _share_of_extreme(question: Question, extreme: Callable[[list[int]], int]) -> float:
    """The share of the longest (or shortest) choices that the right one is, 0 where it is none of them."""
    lengths = [len(choice) for choice in question.choices]
    most = extreme(lengths)
    return (lengths[question.answer] == most) / lengths.count(most)


def _accuracy(questions: Sequence[Question], right: Sequence[float]) -> Accuracy:
    """Wilson's interval, at the number of independent questions."""
    share, independent = fmean(right), _independent(questions)
    low, high = interval(share, independent)
    return Accuracy(share, low, high, chance(questions))


def interval(share: float, questions: int) -> tuple[float, float]:
    """Return the 95 % interval (Wilson 1927) of a share of so many independent questions."""
    from scipy.stats import binomtest

    found = binomtest(round(share * questions), questions).proportion_ci(method="wilson")
    return min(share, float(found.low)), max(share, float(found.high))


def _independent(questions: Sequence[Entry]) -> int:
    """How many clusters and passages there are, a question without any being one."""
    return len({related(question) or f"\0{number}" for number, question in enumerate(questions)})


def _found(questions: Sequence[Question], numbers: Sequence[int]) -> Found:
    return Found(len(numbers), [questions[number].id for number in numbers[:LISTED]])


def _warnings(config: Config, split: str, report: SplitReport) -> Iterator[str]:
    if report.position_p is not None and report.position_p < SKEWED and _shows_options(config, split):
        most = max(report.positions)
        place = report.positions.index(most)
        yield (
            f"{split}: right answers are not spread evenly over the options (p {_p_value(report.position_p)}): always "
            f"choosing option {ascii_uppercase[place : place + 1] or place + 1} is right in "
            f"{_percent(most / report.questions)} (chance {_percent(report.chance)})."
        )
    for name, rule in (("longest", report.longest), ("shortest", report.shortest)):
        if rule.is_much_above_chance:
            yield (
                f"{split}: always choosing the {name} option is right in {_percent(rule.share)} (chance "
                f"{_percent(rule.chance)})."
            )
    if report.conflicts.count:
        clean = "; data.clean=[conflicts] leaves them out" if split == "train" else ""
        yield (
            f"{split}: {_of(report.conflicts.count, report.questions)} are asked again, with the same choices and "
            f"another right answer{clean}."
        )


# --- overlap ---------------------------------------------------------------------------------------------------------


def _overlap(questions: Sequence[Question], traits: Sequence[Traits], train: Sequence[Traits]) -> Overlap:
    asked = {one.asked for one in train}
    return Overlap(
        asked=_found(questions, [number for number, one in enumerate(traits) if one.asked in asked]),
        answered=_found(questions, duplicates.shared(traits, train)),
        near=_found(questions, duplicates.nearly_shared(traits, train)),
    )


def _overlap_warnings(split: str, overlap: Overlap, questions: int) -> Iterator[str]:
    found = (
        (overlap.answered, "are in train too, with the same right answer", "overlap"),
        (overlap.near, "are nearly the same as one in train", "near_overlap"),
    )
    for one, what, clean in found:
        if one.count > LARGE_OVERLAP * questions:
            yield (
                f"{split}: {_of(one.count, questions)} ({_percent(one.count / questions)}) {what}, so accuracy on them "
                f"says little about new ones; data.clean=[{clean}] leaves those of train out."
            )


def _complete_overlaps(splits: Mapping[str, Sequence[Question]]) -> Iterator[str]:
    known = set(map(duplicates.answered, splits["train"]))
    for split in (name for name in ("dev", "test") if name in splits):
        if all(duplicates.answered(question) in known for question in splits[split]):
            yield (
                f"{split}: all {len(splits[split])} questions are in train too, with the same right answers, so its "
                "accuracy would say what was memorised and nothing else. Give other questions (data.path, data.splits) "
                "or take data.clean=[overlap], which leaves them out of train; data.allow_overlap=true trains on them."
            )


# --- words -----------------------------------------------------------------------------------------------------------


def few_questions(split: str, questions: Sequence[Entry]) -> str | None:
    """Return a sentence on what an accuracy on few questions is worth, None where they are enough."""
    independent = _independent(questions)
    if independent >= FEW:
        return None
    low, high = interval(0.5, independent)
    clusters = f" in {independent} cluster{'s' * (independent > 1)} or passage{'s' * (independent > 1)}"
    clusters = clusters if independent < len(questions) else ""
    return (
        f"{split}: {_count(len(questions))}{clusters}, and an accuracy on so few is known to ±{50 * (high - low):.0f} "
        "points. For more, raise data.dev_fraction, or give files of your own: a folder with train, dev and test as "
        "data.path."
    )


def _count(questions: int) -> str:
    return f"{questions} question{'s' * (questions != 1)}"


def _of(count: int, questions: int) -> str:
    return f"{count} of {_count(questions)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}"
