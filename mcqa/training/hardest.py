"""What is known of preference pairs once the base has been measured (objective=dpo)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from mcqa.config.metric_names import LENGTHS
from mcqa.config.schema import Config
from mcqa.data.pairs import PairSet, describe, length_warning, pair_lengths
from mcqa.evaluation.decisions import SCORES
from mcqa.evaluation.predictions import Prediction
from mcqa.runs.record import Record


def hardest_wrong(rows: Sequence[Prediction], metric: str) -> dict[str, int]:
    """Return for each question the wrong choice with the highest score, the first of equal ones; a score that is not a
    number is the lowest.

    metric: its lengths divide the scores, where it has some, as dev/acc_norm has; others compare their sums.
    """
    name = metric.removeprefix("dev/")
    scores_of = SCORES[name if name in LENGTHS else "acc"]
    return {row.question.id: _best_wrong(scores_of(row), row.question.answer) for row in rows}


def _best_wrong(scores: Sequence[float], answer: int) -> int:
    wrong = [number for number in range(len(scores)) if number != answer]
    return max(wrong, key=lambda number: -math.inf if math.isnan(scores[number]) else scores[number])


def with_hardest(training: PairSet, config: Config, rows: Callable[[], Sequence[Prediction]]) -> PairSet:
    """Return the pairs against the hardest wrong choices, by what the base answered to the training questions."""
    return replace(training, hardest=cache(lambda: hardest_wrong(rows(), config.evaluation.best_metric)))


def show_pairs(record: Record, training: PairSet) -> None:
    """Say how long the answers of the first epoch's pairs are, and warn where length alone tells which is better."""
    examples, config = training.epoch(0), record.config
    lengths = pair_lengths(examples)
    record.say(*describe(examples, training.letters, config.shuffle_seed is not None))
    if config.lists_options and config.evaluation.permutations is None:
        record.say("  Position bias is not measured: evaluation.permutations=cyclic measures it before and after")
    named = {"pairs/chosen_tokens": lengths.chosen, "pairs/rejected_tokens": lengths.rejected}
    record.metrics |= named
    record.log(named, step=0, of="lengths of pairs")
    if (warning := length_warning(lengths)) is not None:
        record.say(f"  Warning: {warning}")
        record.warnings = [*record.warnings, warning]
