"""What an accuracy proves: intervals, and tests of two or more models on the same questions."""

from mcqa.evaluation.statistics.best_of_many import p_values_against_best
from mcqa.evaluation.statistics.clusters import ALPHA, CONFIDENCE
from mcqa.evaluation.statistics.intervals import ClusteredAccuracy, clustered_accuracy, standard_error, wilson_interval
from mcqa.evaluation.statistics.multiplicity import compact_letter_display, holm
from mcqa.evaluation.statistics.paired import PairedDifference, mcnemar, minimum_detectable_difference
from mcqa.evaluation.statistics.pooling import PooledDifference, pooled_accuracy_interval, pooled_difference
from mcqa.evaluation.statistics.resampling import BootstrapDifference, bootstrap_interval, paired_bootstrap

__all__ = [
    "ALPHA",
    "CONFIDENCE",
    "BootstrapDifference",
    "ClusteredAccuracy",
    "PairedDifference",
    "PooledDifference",
    "bootstrap_interval",
    "clustered_accuracy",
    "compact_letter_display",
    "holm",
    "mcnemar",
    "minimum_detectable_difference",
    "p_values_against_best",
    "paired_bootstrap",
    "pooled_accuracy_interval",
    "pooled_difference",
    "standard_error",
    "wilson_interval",
]
