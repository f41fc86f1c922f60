"""What an accuracy proves: intervals, and tests of two or more models on the same questions."""

from mcqa.evaluation.statistics.best_of_many import against_best
from mcqa.evaluation.statistics.clusters import ALPHA, CONFIDENCE
from mcqa.evaluation.statistics.intervals import Clustered, clustered, standard_error, wilson
from mcqa.evaluation.statistics.multiplicity import groups, holm
from mcqa.evaluation.statistics.paired import Paired, mcnemar, minimum_detectable_difference
from mcqa.evaluation.statistics.pooling import Pooled, pooled, pooled_accuracy
from mcqa.evaluation.statistics.resampling import Bootstrapped, bootstrap, paired_bootstrap

__all__ = [
    "ALPHA",
    "CONFIDENCE",
    "Bootstrapped",
    "Clustered",
    "Paired",
    "Pooled",
    "against_best",
    "bootstrap",
    "clustered",
    "groups",
    "holm",
    "mcnemar",
    "minimum_detectable_difference",
    "paired_bootstrap",
    "pooled",
    "pooled_accuracy",
    "standard_error",
    "wilson",
]
