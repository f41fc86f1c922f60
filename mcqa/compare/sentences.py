"""The result of a comparison in sentences that the terminal and the page share."""

from collections.abc import Iterator, Sequence

from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.configurations import TRAINED, Compared
from mcqa.compare.runs import Run
from mcqa.evaluation.report.formatting import (
    count,
    detectable_difference,
    difference,
    few_clusters,
    percent,
    signed,
    significance,
)
from mcqa.runs.files import flatten

_MODEL = ("model.path", "model.revision", "model.tokenizer", "model.architecture", "model.vocabulary_size")
MOST_NAMES = 4  # keys and configurations that a sentence lists


def net(questions: float, seeds: bool) -> str:
    """Return questions gained minus questions lost, with a decimal where it is a mean over seeds."""
    return signed(questions, decimals=1 if seeds else 0)


def flips(comparison: Comparison, pair: Pair) -> str:
    """Return the questions newly right and newly wrong; over seeds also the net, for the majority of seeds decides
    those two."""
    text = f"+{pair.counts.by_kind['newly right']} −{pair.counts.by_kind['newly wrong']}"
    return f"{text} (net {net(pair.counts.net, True)})" if comparison.several_seeds(pair) else text


def verdict(comparison: Comparison) -> str:
    """Return the whole comparison in one sentence."""
    if len(comparison.pairs) == 1:
        [pair] = comparison.pairs
        result = pair.difference
        names = f"{comparison.label(pair.after)} against {comparison.label(pair.before)}"
        limit = "" if pair.significant else f"; {detectable_difference(result.minimum_detectable_difference)}"
        points = difference(result.estimate, result.low, result.high)
        return f"{names}: {points}, {significance(pair.significant)}{limit}."
    top, *others = sorted(range(len(comparison.accuracies)), key=lambda i: -comparison.accuracies[i].mean)
    significant = {i for i in others if _pair(comparison, top, i).significant}
    worse, tied = [i for i in others if i in significant], [i for i in others if i not in significant]
    parts = [f"significantly better than {_names(comparison, worse)}"] if worse else []
    parts += [f"tied with {_names(comparison, tied)}"] if tied else []
    best = f"{comparison.label(top)} is best with {percent(comparison.accuracies[top].mean)}"
    return f"{best}: {', '.join(parts)} (family-wise error 5 %, Holm)."


def _pair(comparison: Comparison, i: int, j: int) -> Pair:
    return next(pair for pair in comparison.pairs if {pair.before, pair.after} == {i, j})


def _names(comparison: Comparison, indices: Sequence[int]) -> str:
    names = [comparison.label(i) for i in indices]
    if len(names) > MOST_NAMES:
        return f"{len(names)} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def measured(comparison: Comparison) -> str:
    """Say what was measured on which questions."""
    clusters = comparison.clusters
    related = f" in {count(clusters, 'cluster')} of related questions" if clusters is not None else ""
    return (
        f"{comparison.metric} on {comparison.compared.split}, {count(len(comparison.questions), 'question')}{related}; "
        f"guessing gives {percent(comparison.chance)}"
    )


def notes(comparison: Comparison) -> list[str]:
    """Return what limits the conclusions from these numbers."""
    few = None if comparison.clusters is None else few_clusters(comparison.clusters, "cluster")
    return [*([few] if few else []), *_seed_notes(comparison), *_score_notes(comparison), *remarks(comparison.compared)]


def _seed_notes(comparison: Comparison) -> Iterator[str]:
    def single(against_several: bool) -> list[int]:
        pairs = [pair for pair in comparison.pairs if comparison.several_seeds(pair) == against_several]
        return sorted({i for pair in pairs for i in pair.single_seed})

    if unknown := single(against_several=False):
        trained = [i for i, configuration in enumerate(comparison.configurations) if configuration.trained]
        who = "One seed each" if len(unknown) == len(trained) > 1 else f"One seed of {_names(comparison, unknown)}"
        yield (
            f"{who}: the intervals leave out seed variance, how much another seed would change the result. Add runs "
            "with other seeds to include it."
        )
    if borrowing := single(against_several=True):
        yield (
            f"One seed of {_names(comparison, borrowing)}: the interval of its accuracy leaves out seed variance, how "
            "much another seed would change the result; a difference takes it to be that of the other side, which has "
            "several seeds. Add runs with other seeds to measure it."
        )


def _score_notes(comparison: Comparison) -> Iterator[str]:
    """Scores that are not a number are a fault of the run, not of the questions."""
    for i, answers in enumerate(comparison.answers):
        if broken := sum(answer.choice is None for answer in answers):
            yield f"{comparison.label(i)}: scores of {count(broken, 'question')} are not a number; they count as wrong."


def remarks(compared: Compared) -> list[str]:
    """Return what else differs between the runs and may explain a difference."""
    return [*_first_look(compared), *_key_remarks(compared), *_run_remarks(compared.runs)]


def _first_look(compared: Compared) -> Iterator[str]:
    """Runs whose first looks differ measured different questions, and are not compared."""
    looks = [run.first_look.get(compared.split.removeprefix("base/")) for run in compared.runs]
    every = {str(look["of"]) for look in looks if isinstance(look, dict) and "of" in look}
    if every:
        yield (
            f"A first look: {len(compared.questions)} of {', '.join(sorted(every))} questions were measured "
            "(evaluation.test_limit)."
        )


def _key_remarks(compared: Compared) -> Iterator[str]:
    if prompt := [key for key in compared.differing if key.startswith("prompt.")]:
        yield (f"The prompt differs ({_keys(prompt)}), so the difference is that of model and prompt together.")
    if model := [key for key in compared.differing if key in _MODEL]:
        yield (
            f"The model differs ({_keys(model)}): the difference is between models, not only between ways to train one."
        )
    if TRAINED in compared.differing:
        yield "At least one model was measured without training."


def _keys(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_NAMES} more" if len(keys) > MOST_NAMES else ""
    return ", ".join(keys[:MOST_NAMES]) + more


def _run_remarks(runs: Sequence[Run]) -> Iterator[str]:
    environments = [flatten(run.environment) for run in runs]

    def values(name: str) -> set[str]:
        """The values of an entry, of the runs that have it."""
        return {str(entries[name]) for entries in environments if entries.get(name) is not None}

    data = {repr([(key, value) for key, value in run.config_dict.items() if key.startswith("data.")]) for run in runs}
    if len(values("fingerprints.train")) > 1 and len(data) == 1:
        yield "The training questions differ though the data keys do not: the question file changed between the runs."
    if len(values("fingerprints.tokenizer")) > 1:
        yield "The tokenizers differ (fingerprints), so the same text has different tokens for each model."
    if len(commits := values("git_commit")) > 1:
        yield f"The code differs: commits {', '.join(sorted(commit[:8] for commit in commits))}."
    if any(run.environment.get("git_dirty") for run in runs):
        yield "Some runs were made with uncommitted changes, so an equal commit may hide different code."
    packages = dict.fromkeys(key for entries in environments for key in entries if key.startswith("packages."))
    versions = {key.removeprefix("packages."): sorted(values(key)) for key in packages}
    if changed := [f"{name} {', '.join(several)}" for name, several in versions.items() if len(several) > 1]:
        yield f"Package versions differ: {'; '.join(changed)}."
