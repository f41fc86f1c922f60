"""The result of a comparison in sentences that the terminal and the page share."""

from collections.abc import Iterator, Sequence

from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.configurations import TRAINED, Compared, Configuration
from mcqa.compare.runs import Run
from mcqa.evaluation.flips import FlipCounts
from mcqa.evaluation.report.formatting import (
    ONE_SEED,
    ONE_SEED_EACH,
    count,
    detectable_difference,
    difference,
    few_clusters,
    more_seeds,
    p_equals,
    percent,
    signed,
)
from mcqa.evaluation.statistics.seeds import seed_deviation_allowed
from mcqa.runs.files import flatten

_MODEL = ("model.path", "model.revision", "model.tokenizer", "model.architecture", "model.vocabulary_size")
MOST_NAMES = 4  # keys and configurations that a sentence lists
MOST_COMMANDS = 3


def net(questions: float, seeds: bool) -> str:
    """Return questions gained minus questions lost, with a decimal where it is a mean over seeds."""
    return signed(questions, decimals=1 if seeds else 0)


def flips(comparison: Comparison, pair: Pair, counts: FlipCounts | None = None) -> str:
    """Return the questions newly right and newly wrong; over seeds also the net, for the majority of seeds decides
    those two."""
    counts = counts or pair.counts
    text = f"+{counts.by_kind['newly right']} −{counts.by_kind['newly wrong']}"
    return f"{text} (net {net(counts.net, True)})" if comparison.several_seeds(pair) else text


def verdict(comparison: Comparison) -> str:
    """Return the whole comparison in one sentence."""
    return _of_pair(comparison) if len(comparison.pairs) == 1 else _of_several(comparison)


def _of_pair(comparison: Comparison) -> str:
    [pair] = comparison.pairs
    result, before, after = pair.difference, named(comparison, pair.before), named(comparison, pair.after)
    numbers = [f"{difference(result.estimate, result.low, result.high)}, {p_equals(result.p)}"]
    if not pair.significant:
        shown = f"No statistically significant difference between {after} and {before}"
        numbers.append(detectable_difference(result.minimum_detectable_difference))
    else:
        better = "better" if result.estimate > 0 else "worse"
        shown = f"{_first_word_large(after)} is significantly {better} than {before}"
    return f"{shown} ({'; '.join([*numbers, about(comparison, pair)])})."


def adjusted(comparison: Comparison) -> str:
    """Say for how many comparisons p-values and intervals are adjusted, and how."""
    return f"adjusted for {len(comparison.pairs)} comparisons, max-T"


def _first_word_large(name: str) -> str:
    """At the beginning of a sentence; a label stays as it is."""
    return f"T{name[1:]}" if name.startswith("the ") else name


def _of_several(comparison: Comparison) -> str:
    top, *others = sorted(range(len(comparison.accuracies)), key=lambda i: -comparison.accuracies[i].mean)
    pairs = {i: _pair(comparison, top, i) for i in others}
    worse, near = [i for i in others if pairs[i].significant], [i for i in others if not pairs[i].significant]
    parts = [f"significantly better than {_names(comparison, worse)}"] if worse else []
    parts += [f"no statistically significant difference from {_names(comparison, near)}"] if near else []
    single = sorted({i for pair in pairs.values() for i in pair.single_seed})
    trained = [i for i, configuration in enumerate(comparison.configurations) if configuration.trained]
    seeds = (
        f"; {ONE_SEED_EACH}" if single == trained else f"; one seed of {_names(comparison, single)}" if single else ""
    )
    highest = f"{comparison.label(top)} has the highest accuracy, {percent(comparison.accuracies[top].mean)}"
    return f"{highest}: {', '.join(parts)} ({adjusted(comparison)}{seeds if single else ''})."


def named(comparison: Comparison, i: int) -> str:
    """Return what a sentence calls a configuration: a run while it has one seed, such as `the run with rank=4`."""
    label, configuration = comparison.label(i), comparison.configurations[i]
    if label in ("base", "fine-tuned"):
        return f"the {label} model"
    if not configuration.trained or len(configuration.predictions) > 1:
        return label
    return f"the run with {label}" if "=" in label else f"the {label} run"


def about(comparison: Comparison, pair: Pair) -> str:
    """Say how many seeds a pair has, and what the result is therefore about."""
    if pair.single_seed and not comparison.several_seeds(pair):
        return ONE_SEED_EACH if len(pair.single_seed) == 2 else ONE_SEED
    if pair.single_seed:
        return f"one seed of {_names(comparison, pair.single_seed)}, taken to vary as the other side's"
    sides = [comparison.configurations[i] for i in (pair.after, pair.before)]
    counts = [len(side.predictions) for side in sides if side.trained]
    if len(set(counts)) == 1:
        return f"{count(counts[0], 'seed')}{' each' * (len(counts) == 2)}"
    return f"{' and '.join(map(str, counts))} seeds" if counts else "neither was trained"


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
    return [
        *([few] if few else []),
        *_look_notes(comparison),
        *_seed_notes(comparison),
        *_score_notes(comparison),
        *remarks(comparison.compared),
    ]


def _look_notes(comparison: Comparison) -> Iterator[str]:
    if comparison.look > 1:
        yield (
            f"This is look number {comparison.look} at these configurations, with other seeds each time: p-values and "
            "intervals do not account for that, and adding seeds until a difference is significant errs in more than "
            "5 % of cases; a number of seeds fixed beforehand does not (plan= says how many it takes, +sweeps=seeds or "
            "hydra.sweeper.confirm=3 run them)."
        )


def _seed_notes(comparison: Comparison) -> Iterator[str]:
    def single(against_several: bool) -> list[int]:
        pairs = [pair for pair in comparison.pairs if comparison.several_seeds(pair) == against_several]
        return sorted({i for pair in pairs for i in pair.single_seed})

    if unknown := single(against_several=False):
        trained = [i for i, configuration in enumerate(comparison.configurations) if configuration.trained]
        who = "One seed each" if len(unknown) == len(trained) > 1 else f"One seed of {_names(comparison, unknown)}"
        yield (
            f"{who}: the intervals leave out seed variance, how much another seed would change the result."
            f"{_sensitivity(comparison)} {_three_seeds(comparison, unknown)}"
        )
    if borrowing := single(against_several=True):
        yield (
            f"One seed of {_names(comparison, borrowing)}: the interval of its accuracy leaves out seed variance, how "
            "much another seed would change the result; a difference takes it to be that of the other side, which has "
            "several seeds. Add runs with other seeds to measure it."
        )
    for key, what in (("seed", "initialisation and dropout"), ("order_seed", "the order of questions")):
        if alike := [i for i, one in enumerate(comparison.configurations) if _share(one, key)]:
            yield f"The seeds of {_names(comparison, alike)} share one {key}: their variance leaves out that of {what}."


def _share(configuration: Configuration, key: str) -> bool:
    """Whether several seeds of a configuration have one value of one of the keys that chance draws from."""
    several = configuration.trained and len(configuration.predictions) > 1
    return several and len({str(run.seeds[key]) for run in configuration.runs}) == 1


def _sensitivity(comparison: Comparison) -> str:
    """Up to which seed variance the significant differences of single runs would stay significant."""
    found = []
    for pair in comparison.pairs:
        if pair.significant and pair.single_seed and not comparison.several_seeds(pair):
            its, runs = pair.difference, len(pair.single_seed)
            allowed = 100 * seed_deviation_allowed(its.estimate, pair.p, runs, pair.level)
            found.append(
                f"{allowed:.2g} points ({comparison.label(pair.after)} against {comparison.label(pair.before)})"
            )
    if not found:
        return ""
    shown = ", ".join(found[:MOST_NAMES]) if len(comparison.pairs) > 1 else found[0].partition(" (")[0]
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    return f" Significant up to a seed standard deviation of {shown}{more}."


def _three_seeds(comparison: Comparison, indices: Sequence[int]) -> str:
    """The commands that train each of these with two further seeds; without one for models of mcqa.evaluate."""
    runs = [comparison.configurations[i].runs[0] for i in indices]
    own = [run for run in runs if "splits" not in run.config_dict and isinstance(run.seed, int)]
    if not own or len(own) > MOST_COMMANDS:
        return "Compare three seeds each: python -m mcqa.train --multirun from_run=<run> seed=<two others>"
    commands = "; ".join(more_seeds(run.shown, run.seed, order_is_fixed=run.order_is_fixed) for run in own)
    return f"Compare three seeds{' each' * (len(own) > 1)}: {commands}"


def _score_notes(comparison: Comparison) -> Iterator[str]:
    """Scores that are not a number are a fault of the run, not of the questions."""
    for i, answers in enumerate(comparison.answers):
        if broken := sum(answer.choice is None for answer in answers):
            yield f"{comparison.label(i)}: scores of {count(broken, 'question')} are not a number; they count as wrong."


def remarks(compared: Compared) -> list[str]:
    """Return what else differs between the runs and may explain a difference."""
    return [
        *_first_look(compared),
        *_data_warnings(compared),
        *_key_remarks(compared),
        *_run_remarks(compared.runs),
    ]


def _data_warnings(compared: Compared) -> list[str]:
    """Return what the runs say against the questions of the split."""
    split = compared.split.removeprefix("base/")
    every = (warning for run in compared.runs for warning in run.warnings)
    return list(dict.fromkeys(warning for warning in every if warning.startswith(f"{split}: ")))


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
    if any(run.config_dict.get("evaluation.before") is False for run in compared.runs):
        yield "Of some runs the base was not measured (evaluation.before=false)."
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
