"""The report of a study as one HTML file that needs nothing else, rendered from templates/page.html."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape

from mcqa.evaluation.report.formatting import cut, p_value
from mcqa.evaluation.report.html import Scale, render
from mcqa.evaluation.statistics.multiple_comparisons import SIGN_FLIPS
from mcqa.runs import run_folder
from mcqa.runs.duration import duration
from mcqa.sweep.report import answer, arms, best_experiment, charts, confirmed_sentences, edges, markdown, sentences
from mcqa.sweep.report.confirmation import Confirmation
from mcqa.sweep.report.confirmed_arms import MOST_EXAMPLES, ConfirmedArms, confirmed_arms, shortened
from mcqa.sweep.report.importances import FEWEST, Importances
from mcqa.sweep.report.next_step import NextStep, next_step
from mcqa.sweep.report.seed_variance import varies_only_seed
from mcqa.sweep.report.study_data import StudyRecord, SweptKey, TrialRecord
from mcqa.sweep.report.ties import Estimate, StudyResult
from mcqa.sweep.report.timeline import HATCHINGS, timeline

TEMPLATE = Path(__file__).parent / "templates" / "page.html"

SHOWN_TRIALS, SHOWN_TIES = 25, 12  # rows, until all are asked for
MOST_TIES, MOST_WORSE = 100, 3  # rows: the tied trials, and the nearest of the worse ones
MOST_KEYS = 9  # columns of the table of all trials
MOST_FAILURES, LONGEST_ERROR, LONGEST_TRACEBACK = 200, 220, 5000  # rows; characters


@dataclass(frozen=True)
class ReportData:
    """All that the page shows. problems: what could not be read."""

    study: StudyRecord
    result: StudyResult
    importances: Importances
    confirmation: Confirmation | None
    problems: tuple[str, ...]

    @property
    def verdict(self) -> str:
        if self.confirmed_arms is not None:
            return confirmed_sentences.verdict(self.confirmed_arms)
        return arms.verdict(self.study, self.result) or answer.answer(self.study, self.result, self.importances)

    @property
    def remarks(self) -> list[str]:
        """What to keep in mind, the most important first."""
        ends, ties = arms.notes if self.arms else edges.notes, sentences.ties(self.study, self.result)
        if self.confirmed_arms is not None:  # what the trials on dev say has its own section
            found = [
                *confirmed_sentences.supported(self.confirmed_arms),
                *confirmed_sentences.limits(self.confirmed_arms),
            ]
            return [*found, *sentences.looks_at_test(self.confirmed_arms.confirmation), *ends(self.study, self.result)]
        return [
            *([] if ties == self.verdict else [ties]),
            *ends(self.study, self.result),
            *sentences.notes(self.study, self.result, self.confirmation),
        ]

    @cached_property
    def next_step(self) -> NextStep | None:
        return next_step(self.study, self.result, self.importances, self.confirmation)

    @cached_property
    def arms(self) -> list[arms.Arm]:
        return arms.compare_arms(self.study, self.result)

    @cached_property
    def confirmed_arms(self) -> ConfirmedArms | None:
        return confirmed_arms(self.study, self.result, self.confirmation)

    @property
    def order(self) -> list[SweptKey]:
        """The swept keys, the most important first."""
        weights = {key: estimate.value for key, estimate in self.importances.of.items()}
        return sorted(self.study.swept, key=lambda swept: -weights.get(swept.key, 0.0))


def page(report: ReportData, plotly: str | None) -> str:
    """Return the complete page. plotly: the library's JavaScript; None where it is not installed."""
    study, result = report.study, report.result
    slices = charts.slices(study, result, report.order) if plotly is not None and len(study.complete) > 1 else {}
    figures = _figures(report) if plotly is not None else {}
    figures |= {f"slice{i}": figure for i, figure in enumerate(slices.values())}
    return render(
        TEMPLATE,
        title=f"{study.name}: {report.verdict}",
        subject=sentences.subject(study),
        verdict=report.verdict,
        remarks=report.remarks,
        study=study,
        result=result,
        confirmation=report.confirmation,
        importances=report.importances,
        problems=report.problems,
        varies_only_seed=varies_only_seed(study),
        fewest_trials=FEWEST,
        unit_scale=Scale(0.0, 1.0),
        next_step=report.next_step,
        command=best_experiment.command(study),
        methods=_methods(report),
        text=sentences,
        p_value=p_value,
        duration=duration,
        **_charts(report, figures, slices, plotly),
        **_best(report),
        **_ties(result),
        arms=report.arms,
        arm_scale=_scale([arm.accuracy for arm in report.arms], 0.02),
        **_confirmation(report.confirmation),
        **_confirmed_arms(report.confirmed_arms),
        **_trials(study),
        failures=_failures(study),
        SHOWN_TRIALS=SHOWN_TRIALS,
        SHOWN_TIES=SHOWN_TIES,
        MOST_FAILURES=MOST_FAILURES,
    )


# --- charts -----------------------------------------------------------------------------------------------------------


def _figures(report: ReportData) -> dict[str, charts.Figure]:
    study, result = report.study, report.result
    figures: dict[str, charts.Figure] = {}
    if len(study.complete) > 1:
        figures["history"] = charts.history(study, result)
    if (lines := charts.parallel_coordinates(study, result, report.order)) is not None:
        figures["parallel"] = lines
    if any(trial.reports for trial in study.trials):
        figures["curves"] = charts.curves(study, result)
    if (bars := timeline(study)) is not None:
        figures["timeline"] = bars
    return figures


def _charts(
    report: ReportData, figures: Mapping[str, charts.Figure], slices: Iterable[str], plotly: str | None
) -> dict[str, Any]:
    return {
        "figures": figures,
        "figures_json": htmlsafe_json_dumps(figures, separators=(",", ":"), allow_nan=False),
        "slices": list(slices),
        "drawn": plotly is not None,
        "plotly": Markup(plotly or ""),
        "unit": charts.unit(report.study.metric),
        "roles": list(charts.roles(report.study, report.result)),
        "symbols": charts.SYMBOLS,
        "hatchings": HATCHINGS,
    }


# --- tables -----------------------------------------------------------------------------------------------------------


def _best(report: ReportData) -> dict[str, Any]:
    """The best trial's parameters beside the defaults, and what the trials have that are tied with it."""
    study, best, tied = report.study, report.result.best, report.result.tied
    if best is None:
        return {}
    columns = [("parameter", "key label"), (f"trial {best.number}", "n"), ("default", "n")]
    rows = []
    for swept in report.order:
        rows.append([swept.key, sentences.setting(best, swept.key), sentences.default_value(study, swept.key)])
        if tied:
            rows[-1].append(sentences.value_range(study, [best.number, *tied], swept.key))
    return {"best_columns": columns + [("tied trials", "n")] * bool(tied), "best_rows": rows}


def _ties(result: StudyResult) -> dict[str, Any]:
    """The tied trials, then the nearest of the worse ones, on one scale."""
    tied = [comparison for comparison in result.comparisons if comparison.tied][:MOST_TIES]
    shown = [*tied, *[comparison for comparison in result.comparisons if not comparison.tied][:MOST_WORSE]]
    accuracies = [comparison.accuracy for comparison in shown] + [result.accuracy] * (result.accuracy is not None)
    return {"shown_ties": shown, "tie_scale": _scale(accuracies, 0.02)}


def _confirmation(confirmation: Confirmation | None) -> dict[str, Any]:
    if confirmation is None:
        return {}
    default = next((run.mean.value for run in confirmation.configurations if run.default and run.values), None)
    margin = 0.01 if sentences.is_share(confirmation.metric) else 0.0
    means = [run.mean for run in confirmation.configurations]
    return {"mean_scale": _scale(means, margin), "default_mean": default}


def _confirmed_arms(compared: ConfirmedArms | None) -> dict[str, Any]:
    """The arms with new seeds: their tables, and the questions that each gained and lost against the base."""
    if compared is None:
        return {"on_test": None}
    headings, rows = markdown.table(compared)
    pair_headings, pairs = markdown.pairs_table(compared)
    return {
        "on_test": compared,
        "on_test_columns": [(heading, "n" if place else "label") for place, heading in enumerate(headings)],
        "on_test_rows": rows,
        "pair_columns": [(heading, "n" if place in (1, 2) else "label") for place, heading in enumerate(pair_headings)],
        "pairs": pairs,
        "examples_note": markdown.EXAMPLES.format(base=compared.base.name, most=MOST_EXAMPLES),
        "on_test_note": markdown.NOTE.format(sources=compared.confirmation.sources),
        "pairs_note": markdown.HOLM,
        "arm_title": markdown.title,
        "shortened": shortened,
    }


def _scale(estimates: Sequence[Estimate | None], margin: float) -> Scale:
    ends = [end for estimate in estimates for end in estimate or () if not math.isnan(end)] or [0.0, 1.0]
    return Scale(min(ends) - margin, max(ends) + margin)


def _trials(study: StudyRecord) -> dict[str, Any]:
    """All trials: the complete ones by value, then the others by number."""
    keys = [swept.key for swept in study.swept]
    names = [study.metric, *(sentences.short(key, keys) for key in keys[:MOST_KEYS]), "last point", "time", "attempts"]
    columns = [("trial", "n"), ("status", ""), *((_breakable(name), "n") for name in names)]
    others = [trial for trial in study.trials if trial.value is None]
    return {"trial_columns": columns, "trial_keys": keys[:MOST_KEYS], "ordered_trials": [*study.complete, *others]}


def _breakable(name: str) -> Markup:
    """A long key may go on in the next line after any of its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _failures(study: StudyRecord) -> list[dict[str, str]]:
    by_reason: dict[str, list[TrialRecord]] = {}
    for trial in study.trials:
        if trial.status == "failed":
            by_reason.setdefault((trial.error or "no reason was recorded").strip(), []).append(trial)
    return [
        {
            "trials": ", ".join(str(trial.number) for trial in trials[:12])
            + (f" and {len(trials) - 12} more" if len(trials) > 12 else ""),
            "attempts": ", ".join(dict.fromkeys(str(trial.attempts) for trial in trials)),
            "head": cut(reason.split("\n")[0], LONGEST_ERROR),
            "reason": reason[:LONGEST_TRACEBACK],
            "folder": run_folder.shown(trials[0].folder),
        }
        for reason, trials in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    ]


# --- methods ----------------------------------------------------------------------------------------------------------


def _methods(report: ReportData) -> dict[str, str]:
    methods = {}
    if report.result.comparisons:
        units = "clusters of related questions" if report.result.clustered else "questions"
        methods["Ties"] = (
            f"Each complete trial is compared with the best, the {units} being the sample. The best was chosen, so a "
            f"difference is held against the largest difference of all pairs of {len(report.result.comparisons) + 1} "
            f"trials that chance gives: the signs of whole {units} are flipped {SIGN_FLIPS} times, for all trials at "
            "once, step-down (Romano and Wolf 2005; Hansen, Lunde and Nason 2011). This keeps the family-wise error at "
            "5 %: where all these runs are equally good, one is called worse in about 5 % of studies (2 to 7 % in "
            "simulations). It is about these runs: configurations that are equally good differ by their seeds, too, "
            "and are called different more often. Tied: an adjusted p of 0.05 or more, so two trials may be tied and "
            "still differ. Intervals are of each comparison alone. Pruned trials are not compared."
        )
    if report.result.expected is not None:
        methods["What the best is worth"] = (
            "Bootstrap bias correction (Tsamardinos, Greasidou and Borboudakis 2018): the questions are drawn again "
            "with replacement, the trial that is best on those drawn is measured on those left out, and the mean over "
            "the draws is shown. It is unbiased where all trials are equally good and errs low where they differ. A "
            "pruned trial is a candidate by its answers at its last point, plus what complete trials gained from "
            "there; every measurement of a complete trial is one, too, because the best of them is its value. It is of "
            "these trained models; other seeds differ on top."
        )
    if report.result.seed_variance:
        methods["Seed variance"] = (
            "Two single runs differ by chance by up to Student's t times the root of 2 times the standard deviation "
            "over seeds, in 95 % of cases."
        )
    methods |= arms.methods(report.arms)
    if report.importances.enough:
        methods["Importances"] = (
            "PED-ANOVA (Watanabe, Bansal and Hutter 2023) by Optuna: how differently the best trials, a tenth and at "
            "least five, are distributed over a parameter than all of them. Intervals: percentiles over studies whose "
            "trials are drawn again with replacement. Importances add up to 100 % even where nothing matters; whether "
            "a parameter does is tested: the ranks of the values (Conover and Iman 1981) are regressed on a parabola "
            "of the parameter's ranks, or on its choices, the clearest parameter first, with Bonferroni's correction "
            "at 5 %. In simulated searches of 16 and 32 trials where nothing mattered, something was called to matter "
            "in 5 to 10 % of them."
        )
    methods["Times"] = "From a trial's first submission to its result, including the wait in the queue and retries."
    return methods
