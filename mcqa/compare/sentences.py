"""What the numbers say, in sentences that the terminal and the page share."""

from collections.abc import Iterator, Sequence

from mcqa.compare.analysis import Comparison, Difference, Pair
from mcqa.compare.configurations import Compared
from mcqa.compare.runs import Run
from mcqa.evaluation.report.formatting import few_clusters, percent, point_interval, points

_MODEL = ("model.path", "model.revision", "model.tokenizer", "model.architecture", "model.vocabulary_size")


SHOWN_KEYS = 4


def net(questions: float, seeds: bool) -> str:
    """Questions gained less questions lost, with a decimal where it is a mean over seeds."""
    text = f"{abs(questions):.{1 if seeds else 0}f}"
    return text if not float(text) else ("+" if questions > 0 else "−") + text


def difference(found: Difference, apart: bool) -> str:
    """Such as `+3.1 points (0.9 to 5.3): more than noise`."""
    head = f"{points(found.points)} points ({point_interval(found.low, found.high)})"
    return f"{head}: more than noise" if apart else f"{head}: not told apart from noise; {smallest(found.smallest)}"


def smallest(share: float) -> str:
    if share >= 1:
        return "this set is too small to show any difference"
    return f"this set could show differences from {100 * share:.1f} points"


def flips(comparison: Comparison, pair: Pair) -> str:
    """Questions newly right and newly wrong; over seeds also the net, for most seeds decide those two."""
    counts = f"+{pair.count('newly right')} −{pair.count('newly wrong')}"
    return f"{counts} (net {net(pair.net, True)})" if comparison.several_seeds(pair) else counts


def questions(count: int) -> str:
    return "1 question" if count == 1 else f"{count} questions"


def from_points(share: float) -> str:
    """The smallest difference in a table."""
    return "–" if share >= 1 else f"{100 * share:.1f}"


def verdict(comparison: Comparison) -> str:
    """The whole comparison in one sentence."""
    if len(comparison.pairs) == 1:
        pair = comparison.pairs[0]
        names = f"{comparison.label(pair.after)} against {comparison.label(pair.before)}"
        return f"{names}: {difference(pair.found, pair.apart)}."
    order = sorted(range(len(comparison.accuracies)), key=lambda i: -comparison.accuracies[i].mean)
    top, *others = order
    like = [i for i in others if not pair_of(comparison, top, i).apart]
    worse = [i for i in others if i not in like]
    head = f"{comparison.label(top)} is best with {percent(comparison.accuracies[top].mean)}"
    return f"{head}: {', '.join(_against(comparison, like, worse))}."


def _against(comparison: Comparison, like: Sequence[int], worse: Sequence[int]) -> Iterator[str]:
    if worse:
        yield f"better than {_names(comparison, worse)} by more than noise"
    if like:
        yield f"not told apart from {_names(comparison, like)}"


def _names(comparison: Comparison, indices: Sequence[int]) -> str:
    names = [comparison.label(i) for i in indices]
    if len(names) > SHOWN_KEYS:
        return f"{len(names)} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def pair_of(comparison: Comparison, i: int, j: int) -> Pair:
    return next(pair for pair in comparison.pairs if {pair.before, pair.after} == {i, j})


def measured(comparison: Comparison) -> str:
    """What was measured on what."""
    plural = "" if comparison.clusters == 1 else "s"
    clusters = f" in {comparison.clusters} cluster{plural}" if comparison.clusters is not None else ""
    return (
        f"{comparison.metric} on {comparison.compared.split}, {questions(len(comparison.questions))}{clusters}; "
        f"guessing gives {percent(comparison.chance)}"
    )


def notes(comparison: Comparison) -> list[str]:
    """What to keep in mind with these numbers."""
    few = None if comparison.clusters is None else few_clusters(comparison.clusters, "cluster")
    return [
        *([few] if few else []),
        *_seed_notes(comparison),
        *_score_notes(comparison),
        *remarks(comparison.compared),
    ]


def _seed_notes(comparison: Comparison) -> Iterator[str]:
    alone = sorted({i for pair in comparison.pairs for i in pair.unknown_seeds})
    if not alone:
        return
    trained = [i for i, configuration in enumerate(comparison.configurations) if configuration.trained]
    who = "One seed each" if len(alone) == len(trained) > 1 else f"One seed of {_names(comparison, alone)}"
    yield f"{who}: how much another seed would change is not in the intervals. Name runs with other seeds as well."


def _score_notes(comparison: Comparison) -> Iterator[str]:
    """Scores that are not a number are a fault of the run, not of the questions."""
    for i, answers in enumerate(comparison.answers):
        if broken := sum(answer.choice is None for answer in answers):
            yield f"{comparison.label(i)}: scores of {questions(broken)} are not a number; they count as wrong."


# --- what else differs ------------------------------------------------------------------------------------------------


def remarks(compared: Compared) -> list[str]:
    """What makes a difference one of something else than it seems to be."""
    return [*_key_remarks(compared), *_run_remarks(compared.runs)]


def _key_remarks(compared: Compared) -> Iterator[str]:
    prompt = [key for key in compared.differing if key.startswith("prompt.")]
    if prompt:
        yield (
            f"The prompt differs ({_keys(prompt)}): the models were not asked the same way, so the difference is that "
            "of model and prompt together."
        )
    model = [key for key in compared.differing if key in _MODEL]
    if model:
        yield (
            f"The model differs ({_keys(model)}): the difference is between models, not only between ways to train one."
        )
    if "trained" in compared.differing:
        yield "At least one model was measured as it was, without training."


def _keys(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    return ", ".join(keys[:SHOWN_KEYS]) + more


def _run_remarks(runs: Sequence[Run]) -> Iterator[str]:
    if len(_found(runs, "fingerprints.train")) > 1 and not _differ(runs, "data."):
        yield "The training questions differ though the data keys do not: the question file changed between the runs."
    if len(_found(runs, "fingerprints.tokenizer")) > 1:
        yield "The tokenizers differ (fingerprints), so the same text is other tokens to each model."
    commits = _found(runs, "git_commit")
    if len(commits) > 1:
        yield f"The code differs: commits {', '.join(sorted(commit[:8] for commit in commits))}."
    if any(run.environment.get("git_dirty") for run in runs):
        yield "Some runs were made with uncommitted changes, so an equal commit may hide other code."
    if changed := _packages(runs):
        yield f"Package versions differ: {'; '.join(changed)}."


def _found(runs: Sequence[Run], name: str) -> set[str]:
    """The values of an entry of environment.json, of the runs that have it."""
    first, _, second = name.partition(".")
    found = {str(_entry(run, first, second)) for run in runs}
    return found - {"None"}


def _entry(run: Run, first: str, second: str) -> object:
    entry = run.environment.get(first)
    return (entry.get(second) if isinstance(entry, dict) else None) if second else entry


def _differ(runs: Sequence[Run], group: str) -> bool:
    return len({repr([(key, value) for key, value in run.tree.items() if key.startswith(group)]) for run in runs}) > 1


def _packages(runs: Sequence[Run]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in _versions(run))
    found = {name: _found(runs, f"packages.{name}") for name in names}
    return [f"{name} {', '.join(sorted(versions))}" for name, versions in found.items() if len(versions) > 1]


def _versions(run: Run) -> Sequence[str]:
    packages = run.environment.get("packages")
    return list(packages) if isinstance(packages, dict) else []
