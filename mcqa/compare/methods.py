"""How the numbers of a comparison were computed, with the sources; only what the comparison used."""

from mcqa.compare.analysis import Comparison
from mcqa.evaluation.report.formatting import count

_METRICS = {
    "acc": "The choice with the highest summed log-probability is the answer.",
    "acc_norm": "The answer is the choice with the highest summed log-probability over its length in characters.",
    "acc_bytes": "The answer is the choice with the highest summed log-probability over its length in bytes (UTF-8).",
    "acc_tokens": "The answer is the choice with the highest summed log-probability over its number of tokens.",
    "acc_mutual_info": "The answer is the choice whose log-probability the question raises most.",
    "acc_choices_only": "The answer is the choice with the highest log-probability when the question is removed.",
    "acc_worst": "A question is right if it is right under every measured order of the options; the order furthest "
    "from right decides answer and margin.",
    "acc_debiased": "The answer is the letter with the highest log-probability minus the log of its prior, the "
    "probability of the letter whatever stands there, estimated over all questions and orders (PriDe; Zheng et al. "
    "2024).",
    "acc_averaged": "The answer is the choice with the highest log-probability, averaged over the measured orders.",
}


def explain_methods(comparison: Comparison) -> dict[str, str]:
    """Return the explanation of each term that the comparison uses."""
    seeds = any(len(accuracy.seeds) > 1 for accuracy in comparison.accuracies)
    single = any(pair.difference.bootstrap is not None for pair in comparison.pairs)
    clustered = comparison.clusters is not None
    terms = {"Right or wrong": _METRICS[comparison.metric], "Interval of an accuracy": _accuracy(clustered, seeds)}
    if clustered:
        terms["Clusters of related questions"] = _CLUSTERS
    if single:
        terms["Difference of two runs"] = _CLUSTERED if clustered else _SINGLE
        terms["Paired bootstrap"] = _bootstrap(comparison)
    if seeds:
        terms["Difference over seeds"] = _POOLED
    terms["Significance"] = _SIGNIFICANCE
    if len(comparison.pairs) > 1:
        pairs = count(len(comparison.pairs), "pair")
        terms["Family-wise error"] = _FAMILY_WISE.format(pairs=pairs)
    terms["Minimum detectable difference (MDD)"] = _DETECTABLE
    terms["Margins and flips"] = _MARGINS + (_MARGINS_SEEDS if seeds else "")
    return terms


def _accuracy(clustered: bool, seeds: bool) -> str:
    single = (
        "Wilson's score interval at the effective number of questions: their number divided by the design effect, the "
        "factor by which clusters inflate the variance (Korn & Graubard 1998)"
        if clustered
        else "Wilson's score interval (Wilson 1927)"
    )
    several = "; over several seeds with the variance of questions and seeds together, and Student's t"
    return f"95 %: {single}{several if seeds else ''}."


def _bootstrap(comparison: Comparison) -> str:
    unit = "clusters of questions" if comparison.clusters is not None else "questions"
    return (
        f"{comparison.resamples:,} resamples of the {unit}, the same ones for both runs; expanded percentile interval "
        "(Hesterberg 2015). A second opinion: the interval beside it decides."
    )


_CLUSTERS = (
    "Questions that share a passage, a fact or a subject tend to be right or wrong together and form a cluster. "
    "Variances are cluster-robust (Liang & Zeger 1986, in the form CR2): three questions about one fact prove less "
    "than questions about three facts. Student's t has the degrees of freedom of Bell & McCaffrey (2002)."
)

_SINGLE = (
    "On the same questions: the exact McNemar test (McNemar 1947) of the questions that only one of the two runs "
    "answers right decides; the interval is that of Bonett & Price (2012)."
)

_CLUSTERED = (
    "On the same questions: mean and cluster-robust variance (CR2) of the differences, with a cluster gained and a "
    "cluster lost added, as Bonett & Price (2012) add a question each; they have as many questions as flip at once, up "
    "to the mean size of a cluster. Student's t with Bell & McCaffrey's degrees of freedom gives the interval, and the "
    "test that it inverts decides. McNemar's p (McNemar 1947) takes questions as independent and is too small where "
    "clusters matter."
)

_POOLED = (
    "Means over seeds. Questions and seeds are crossed sources of variance, and the interval includes both: Student's "
    "t with Satterthwaite's (1946) degrees of freedom. SE (questions) and SE (seeds) are their parts of the standard "
    "error, the standard deviation of the estimate; what both contain is counted once (two-way clustering: Cameron, "
    "Gelbach & Miller 2011). A side with one seed adds no seed variance."
)

_SIGNIFICANCE = (
    "p is the probability of a difference at least this large if there were none. Significant at 5 %: p is below 0.05."
)

_FAMILY_WISE = (
    "p-values are adjusted for {pairs} (Holm 1979): the probability that any of them is called significant without a "
    "true difference is at most 5 %. Intervals and minimum detectable differences are of each pair alone. Tied: not "
    "significantly different from the best. Groups: between configurations that share a letter there is no significant "
    "difference (compact letter display; Piepho 2004)."
)

_DETECTABLE = (
    "The smallest true difference, in points, that a test at 5 % finds with a probability of 80 % (its power): from "
    "the share of questions on which the two disagree (Connor 1987), with clusters at their effective number, or from "
    "the pooled standard error. It exceeds half of the interval's width, since a true difference at an end of the "
    "interval would be found only half of the time."
)

_MARGINS = (
    "A margin is the score of the right choice minus that of the best wrong one, in nats (natural logarithm), "
    "normalised as the metric is; above 0 is right. The most confident answers have the largest margins, for or "
    "against. Flips are changes from the first configuration to each other one."
)

_MARGINS_SEEDS = (
    " Over seeds: the mean margin and the most frequent answer; right means right in more than half of the seeds, or "
    "in just half with a mean margin above 0. Net is the difference itself, in questions: the sum over questions of "
    "the change in the share of seeds that are right."
)
