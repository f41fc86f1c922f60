"""The comparison in the terminal."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.configurations import Compared
from mcqa.compare.flips import by_subject
from mcqa.compare.options import Options
from mcqa.evaluation.report.formatting import bare, p_value, percent, point_interval, points
from mcqa.runs import run_folder

SUBJECTS, PAIRS, KEYS = 12, 30, 20  # lines in the terminal; the files have all


def show(console: Console, comparison: Comparison) -> None:
    """Tables, then what to keep in mind, then the verdict, which is what should stay on the screen."""
    say = _sayer(console)
    say(sentences.measured(comparison), differing(comparison.compared), accuracies(comparison), pairs(comparison))
    for pair in comparison.with_first if len(comparison.with_first) == 1 else ():
        say(subjects(comparison, pair))
    for note in sentences.notes(comparison):
        say(f"Note: {note}")
    say("", sentences.verdict(comparison))


def _sayer(console: Console):  # type: ignore[no-untyped-def]
    def say(*parts: str | Table | None) -> None:
        for part in parts:
            if part is not None:
                console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))

    return say


def preview(console: Console, compared: Compared, options: Options) -> None:
    say = _sayer(console)
    say(f"Would compare {options.metric} on {compared.split}, {sentences.questions(len(compared.questions))}:")
    for number, configuration in enumerate(compared.configurations, 1):
        seeds = ", ".join(str(run.seed) for run in configuration.runs)
        say(f"  {number} {configuration.label} (seed {seeds}): {', '.join(run.shown for run in configuration.runs)}")
    say(differing(compared))
    for remark in sentences.remarks(compared):
        say(f"Note: {remark}")
    say(f"It would be written to {run_folder.shown(options.out)}" + (" and to MLflow." if options.track else "."))


def places(console: Console, folder: Path, tracked: str | None) -> None:
    say = _sayer(console)
    say("", f"Page: {run_folder.shown(folder / 'comparison.html')}", f"Tables: {run_folder.shown(folder)}")
    say(tracked)


def accuracies(comparison: Comparison) -> Table:
    several = any(len(found.seeds) > 1 for found in comparison.accuracies)
    table = _table("Accuracy", ["", "", *(["seeds"] if several else []), "accuracy", "95 % interval", "group"], left=2)
    for number, found in enumerate(comparison.accuracies, 1):
        seeds = [str(len(found.seeds))] if several else []
        interval = f"{bare(found.low)} – {percent(found.high)}"
        name = comparison.label(number - 1)
        table.add_row(str(number), name, *seeds, percent(found.mean), interval, found.group)
    return table


def pairs(comparison: Comparison) -> Table:
    many = len(comparison.pairs) > 1
    headings = ["", "points (95 %)", "p (Holm)" if many else "p", "flips", "could show"]
    table = _table("Differences", headings)
    for pair in comparison.pairs[:PAIRS]:
        table.add_row(
            f"{pair.after + 1} against {pair.before + 1}",
            f"{points(pair.found.points)} ({point_interval(pair.found.low, pair.found.high)})",
            p_value(pair.p_adjusted) + (" *" if pair.apart else "  "),
            sentences.flips(comparison, pair),
            sentences.from_points(pair.found.smallest),
        )
    rest = f"; and {len(comparison.pairs) - PAIRS} more in pairs.csv" if len(comparison.pairs) > PAIRS else ""
    table.caption = f"{', '.join(tests(comparison))}; * more than noise{rest}"
    return table


def tests(comparison: Comparison) -> list[str]:
    """The tests that gave the p-values, in words."""
    names = {
        "exact McNemar": "exact McNemar test",
        "clustered": "paired test with clustered questions",
        "pooled over seeds": "pooled over seeds",
    }
    return [names[test] for test in dict.fromkeys(pair.found.test for pair in comparison.pairs)]


def subjects(comparison: Comparison, pair: Pair) -> Table | None:
    found = by_subject(comparison.questions, pair.flips)
    if not found:
        return None
    seeds = comparison.several_seeds(pair)
    table = _table("By subject", ["", "questions", "newly right", "newly wrong", "net"])
    for subject in found[:SUBJECTS]:
        right, wrong = subject.counts["newly right"], subject.counts["newly wrong"]
        table.add_row(subject.name, str(subject.questions), str(right), str(wrong), sentences.net(subject.net, seeds))
    if len(found) > SUBJECTS:
        table.caption = f"and {len(found) - SUBJECTS} more on the page"
    return table


def differing(compared: Compared) -> Table | None:
    """The keys of the configuration that differ; those of speed and of extra measurements below."""
    if not compared.differing and not any(len(set(values)) > 1 for values in compared.speed_only.values()):
        return None
    table = _table("What differs", ["", *(str(number + 1) for number in range(len(compared.configurations)))])
    for key, values in list(compared.differing.items())[:KEYS]:
        table.add_row(key, *values)
    hidden = [f"and {len(compared.differing) - KEYS} more on the page"] if len(compared.differing) > KEYS else []
    speed = [f"speed only: {', '.join(compared.speed_only)}"] if compared.speed_only else []
    table.caption = "; ".join(hidden + speed) or None
    return table


def _table(title: str, headings: list[str], left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < left else "right", no_wrap=place >= left)
    return table
