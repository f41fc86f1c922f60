"""What an accuracy proves: intervals, and tests of two or more models on the same questions."""

from mcqa.evaluation.best_of_many import against_best
from mcqa.evaluation.clusters import ALPHA, CONFIDENCE
from mcqa.evaluation.intervals import Clustered, clustered, standard_error, wilson
from mcqa.evaluation.multiplicity import groups, holm
from mcqa.evaluation.pairing import Paired, mcnemar, smallest_difference
from mcqa.evaluation.pooling import Pooled, pooled, pooled_accuracy
from mcqa.evaluation.resampling import Bootstrapped, bootstrap, paired_bootstrap

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
    "paired_bootstrap",
    "pooled",
    "pooled_accuracy",
    "smallest_difference",
    "standard_error",
    "wilson",
]
