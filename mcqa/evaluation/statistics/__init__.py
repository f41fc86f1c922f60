"""What measured accuracies show: confidence intervals, and tests of two or more models on the same questions."""

from mcqa.evaluation.statistics.bootstrap import BootstrapDifference, bootstrap_interval, paired_bootstrap
from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.evaluation.statistics.estimate import Estimate
from mcqa.evaluation.statistics.intervals import (
    accuracy_interval,
    clustered_accuracy,
    standard_error,
    wilson_interval,
)
from mcqa.evaluation.statistics.multiple_comparisons import (
    compact_letter_display,
    holm,
    p_values_against_best,
    studentized_range,
)
from mcqa.evaluation.statistics.paired import PairedDifference, mcnemar, minimum_detectable_difference
from mcqa.evaluation.statistics.pooling import PooledDifference, pooled_accuracy_interval, pooled_difference
from mcqa.evaluation.statistics.simultaneous import Simultaneous, max_t, pair_correlation

__all__ = [
    "ALPHA",
    "BootstrapDifference",
    "Estimate",
    "PairedDifference",
    "PooledDifference",
    "Simultaneous",
    "accuracy_interval",
    "bootstrap_interval",
    "clustered_accuracy",
    "compact_letter_display",
    "holm",
    "max_t",
    "mcnemar",
    "minimum_detectable_difference",
    "p_values_against_best",
    "pair_correlation",
    "paired_bootstrap",
    "pooled_accuracy_interval",
    "pooled_difference",
    "standard_error",
    "studentized_range",
    "wilson_interval",
]
