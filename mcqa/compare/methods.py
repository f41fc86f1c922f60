"""How the numbers of a comparison were computed, in words with their sources; only what it used."""

from collections.abc import Iterator

from mcqa.compare.analysis import Comparison

_METRICS = {
    "acc": "The choice with the highest summed log-probability is the answer.",
    "acc_norm": "The answer is the choice with the highest summed log-probability over its length in characters.",
    "acc_bytes": "The answer is the choice with the highest summed log-probability over its length in bytes (UTF-8).",
    "acc_tokens": "The answer is the choice with the highest summed log-probability over its number of tokens.",
    "acc_mutual_info": "The answer is the choice whose log-probability gains most by the question being there.",
    "acc_choices_only": "The answer is the choice with the highest log-probability when the question is removed.",
    "acc_worst": "Right is what is right under every measured order of the options; the order furthest from right "
    "gives answer and margin.",
    "acc_debiased": "The answer is the letter whose log-probability is highest above that of the letter by itself: "
    "its prior, estimated over all questions and orders (PriDe; Zheng et al. 2024).",
    "acc_averaged": "The answer is the choice with the highest log-probability, averaged over the measured orders.",
}


def methods(comparison: Comparison) -> dict[str, str]:
    return dict(_methods(comparison))


def _methods(comparison: Comparison) -> Iterator[tuple[str, str]]:
    seeds = any(len(found.seeds) > 1 for found in comparison.accuracies)
    single = any(pair.found.bootstrap is not None for pair in comparison.pairs)
    clustered = comparison.clusters is not None
    yield "Right or wrong", _METRICS[comparison.metric]
    yield "Interval of an accuracy", _accuracy(clustered, seeds)
    if clustered:
        yield "Clusters", _CLUSTERS
    if single:
        yield "Difference of two runs", _CLUSTERED if clustered else _SINGLE
        yield "Paired bootstrap", _bootstrap(comparison)
    if seeds:
        yield "Difference over seeds", _POOLED
    if len(comparison.pairs) > 1:
        yield "Many pairs", _MANY
    yield "Could show", _SMALLEST
    yield "Margins and flips", _MARGINS + (_MARGINS_SEEDS if seeds else "")


def _accuracy(clustered: bool, seeds: bool) -> str:
    one = (
        "Wilson's score interval of n over the design effect questions (Korn & Graubard 1998)"
        if clustered
        else "Wilson's score interval (Wilson 1927)"
    )
    several = "; over several seeds of as many questions as have the variance of questions and seeds, and Student's t"
    return f"95 %: {one}{several if seeds else ''}."


def _bootstrap(comparison: Comparison) -> str:
    drawn = "clusters of questions" if comparison.clusters is not None else "questions"
    return (
        f"{comparison.resamples:,} resamples of the {drawn}, the same ones for both runs; "
        "expanded percentile interval (Hesterberg 2015). A second opinion: the interval beside it decides."
    )


_CLUSTERS = (
    "Questions that share a passage, a fact or a subject tend to be right or wrong together and count as one cluster: "
    "variances are cluster-robust (Liang & Zeger 1986, in the form CR2), so that asking about one fact three times "
    "proves less than three facts. Student's t has the degrees of freedom of Bell & McCaffrey (2002)."
)


_SINGLE = (
    "On the same questions: the exact McNemar test (McNemar 1947) of the questions that only one of the two answers "
    "right decides; the interval is that of Bonett & Price (2012)."
)


_CLUSTERED = (
    "On the same questions: mean and cluster-robust variance (CR2) of the differences, with a cluster gained and a "
    "cluster lost added, as Bonett & Price (2012) add a question each; they have as many questions as flip at once, up "
    "to the mean size of a cluster. Student's t with Bell & McCaffrey's degrees of freedom gives the interval, and the "
    "test that it inverts decides. McNemar's p (McNemar 1947) takes questions as independent and is too small where "
    "clusters matter."
)


_POOLED = (
    "Means over seeds. Questions and seeds are crossed sources of noise, both in the interval, which is Student's t "
    "with Satterthwaite's (1946) degrees of freedom; chance answers that both show are counted once (two-way "
    "clustering: Cameron, Gelbach & Miller 2011). A side with one seed adds no noise of seeds."
)


_MANY = (
    "p-values are adjusted by Holm (1979), so that all that is called more than noise is so with 95 % confidence "
    "together; intervals and smallest differences are of each pair alone. "
    "Letters: compact letter display (Piepho 2004)."
)


_SMALLEST = (
    "The smallest true difference, in points, that a test at 5 % finds in four of five such comparisons (power 80 %): "
    "from the share of questions on which the two disagree (Connor 1987), with clusters over the design effect of the "
    "differences, or from the pooled standard error. It is more than half of the interval, for a true difference at an "
    "interval's end would be found only half of the time."
)


_MARGINS = (
    "A margin is the score of the right choice minus that of the best wrong one, in nats, normalised as the metric "
    "is; above 0 is right. Flips are of the first configuration against each other one."
)


_MARGINS_SEEDS = (
    " Over seeds: mean margin, commonest answer, and right means right in more than half of the seeds, or in just half "
    "with a mean margin above 0. Net is the difference itself, in questions: the sum over questions of the change in "
    "the share of seeds that are right."
)
