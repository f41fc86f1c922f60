"""The report of a study as one HTML file that needs nothing else; looks and tables are the comparison page's."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from mcqa.evaluation.report.html import definitions, look, notes, section
from mcqa.evaluation.statistics.multiple_comparisons import SIGN_FLIPS
from mcqa.sweep.report import charts, parallel_coordinates, seed_variance, sentences, tables
from mcqa.sweep.report import tables as answer_tables
from mcqa.sweep.report.charts import Figure
from mcqa.sweep.report.confirmation import Confirmation
from mcqa.sweep.report.study_data import StudyRecord, SweptKey
from mcqa.sweep.report.ties import StudyResult
from mcqa.sweep.report.timeline import HATCHINGS, timeline

TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class ReportData:
    """All that the page shows. importances: by metric, then by key; problems: what could not be read."""

    study: StudyRecord
    answer: StudyResult
    importances: Mapping[str, Mapping[str, float]]
    confirmation: Confirmation | None
    problems: tuple[str, ...]

    @property
    def order(self) -> list[SweptKey]:
        """The parameters, the most important first."""
        weights = next(iter(self.importances.values()), {})
        return sorted(self.study.swept, key=lambda one: -weights.get(one.key, 0.0))


def page(told: ReportData, plotly: str | None) -> str:
    """The complete page; `plotly` is the library's JavaScript, None where it is not installed. Every text from data
    is escaped."""
    figures: dict[str, Figure] = {}
    verdict = sentences.verdict(told.study, told.answer)
    sections = "\n".join(_sections(told, figures, plotly is not None))
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        title=escape(f"{told.study.name}: {verdict}"),
        look=look(),
        looked_at=escape(sentences.looked_at(told.study)),
        verdict=escape(verdict),
        notes=notes(sentences.notes(told.study, told.answer, told.confirmation)),
        sections=sections,
        figures=_json(figures),
        plotly=f"<script>{plotly}</script>" if plotly else "",
    )


def _json(figures: Mapping[str, Figure]) -> str:
    """No text of it can end the element that it stands in."""
    text = json.dumps(figures, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def _sections(told: ReportData, figures: dict[str, Figure], drawn: bool) -> Iterator[str]:
    study, answer = told.study, told.answer
    if not study.trials:
        yield section("Trials", "<p>There is no trial yet.</p>")
    if study.front and not seed_variance.is_of_seeds(study):
        yield section(
            "Not beaten" if len(study.metrics) > 1 else "Best configuration",
            answer_tables.configuration(study, answer, told.order),
        )
    if answer.best is not None and answer.others and not seed_variance.is_of_seeds(study):
        yield section("Ties", answer_tables.ties(answer.best, answer))
    if told.confirmation is not None:
        where = "on test" if told.confirmation.metric.startswith("test/") else "with new seeds"
        yield section(f"Confirmed {where}", answer_tables.confirmation(told.confirmation))
    if any(told.importances.values()):
        yield section("Importances", _importances(told))
    if drawn:
        yield from _pictures(told, figures)
    else:
        yield section("Pictures", "<p>The package plotly is not installed, so there are none.</p>")
    if study.counts["failed"]:
        yield section("Failures", tables.failures(study))
    if study.trials:
        yield section("Trials", tables.trials(study, answer))
    if told.problems:
        yield section("What could not be read", notes(told.problems))
    yield section("How this was computed", definitions(_methods(told)))


# --- pictures ---------------------------------------------------------------------------------------------------------


def _importances(told: ReportData) -> str:
    parts = []
    for metric, weights in told.importances.items():
        rows = "".join(
            f'<span class="key">{escape(key)}</span><span><span class="fill" style="width:{100 * weight:.1f}%"></span>'
            f'</span><span class="n">{100 * weight:.0f} %</span>'
            for key, weight in weights.items()
        )
        title = f"<h3>{escape(metric)}</h3>" if len(told.importances) > 1 else ""
        parts.append(f'{title}<div class="weights">{rows}</div>')
    text = "How differently the best tenth of the complete trials is spread over a parameter than all of them are."
    few = len(told.study.complete)
    doubt = f" From {sentences.count(few, 'trial')} this is a hint at most." if few < sentences.FEW else ""
    return "".join(parts) + f'<p class="note">{text}{doubt}</p>'


def _pictures(told: ReportData, figures: dict[str, Figure]) -> Iterator[str]:
    study, answer = told.study, told.answer
    if any(trial.values or trial.reports for trial in study.trials):
        for i, metric in enumerate(study.metrics):
            figures[f"history{i}"] = charts.history(study, answer, i)
            text = "Line: the best so far. Band: its 95 % interval. Dotted: the default. At the foot: no final value."
            yield section(f"History of {charts.unit(metric)}", _note(text) + _legend(told) + plot(f"history{i}"))
    if len(study.metrics) > 1 and study.complete:
        figures["front"] = charts.front(study, answer)
        yield section(f"{study.metrics[1]} against {study.metrics[0]}", _legend(told) + plot("front"))
    for i, metric in enumerate(study.metrics):
        found = dict(charts.slices(study, answer, told.order, i)) if study.complete else {}
        figures |= {f"slice{i}_{n}": figure for n, figure in enumerate(found.values())}
        parts = [f"<div><h3 class=key>{escape(key)}</h3>{plot(f'slice{i}_{n}')}</div>" for n, key in enumerate(found)]
        if parts:
            yield section(
                f"{charts.unit(metric)} by parameter", _legend(told) + f'<div class="grid">{"".join(parts)}</div>'
            )
    if len(study.complete) > 1 and len(study.swept) > 1:
        figures["parallel"] = parallel_coordinates.figure(study, answer, told.order, upright=True)
        figures["parallel_phone"] = parallel_coordinates.figure(study, answer, told.order, upright=False)
        yield section("Parallel coordinates", _parallel_note(told) + plot("parallel", narrow="parallel_phone"))
    if any(trial.reports for trial in study.trials) and len(study.metrics) == 1:
        figures["curves"] = charts.curves(study, answer)
        yield section("Reports on the way, and what was pruned", _curves_note(told) + plot("curves"))
    if (bars := timeline(study)) is not None:
        figures["timeline"] = bars
        yield section("Slots over time", _states(told) + plot("timeline"))


def plot(name: str, narrow: str | None = None) -> str:
    more = f' data-narrow="{narrow}"' if narrow else ""
    return f'<div class="plot" data-figure="{name}"{more}></div>'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _legend(told: ReportData) -> str:
    found = charts.roles(told.study, told.answer)
    shown = (charts.SYMBOLS[role] for role in found)
    items = (
        f'<span><b style="color:{colour}">{letter}</b>{escape(role)}</span>'
        for role, (colour, _, _, letter) in zip(found, shown, strict=True)
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _states(told: ReportData) -> str:
    counts = told.study.counts
    items = (
        f'<span><i class="swatch {hatching}" style="--state:{colour}"></i>{counts[status]} {status}</span>'
        for status, (colour, _, hatching) in HATCHINGS.items()
        if counts[status]
    )
    return f'<p class="legend">{"".join(items)}</p>'


def _parallel_note(told: ReportData) -> str:
    text = "Thick: the best. Blue: tied with it. Pale: the other complete trials."
    if not told.answer.others:
        text = "Thick: the best. Thin: the other complete trials."
    left = len(told.study.swept) - parallel_coordinates.MOST_AXES
    if left > 0:
        text += f" The {parallel_coordinates.MOST_AXES} most important parameters; {left} more are in trials.csv."
    if len(told.study.complete) > parallel_coordinates.MOST_LINES:
        text += " Not every trial has a line."
    return _note(text)


def _curves_note(told: ReportData) -> str:
    pruned = told.study.counts["pruned"]
    text = "Thick: the best. Dotted, ending in a diamond: pruned. Dashed: running."
    text += (
        f" {sentences.count(pruned, 'trial')} of {len(told.study.trials)} pruned." if pruned else " None was pruned."
    )
    return _note(text)


# --- methods ----------------------------------------------------------------------------------------------------------


def _methods(told: ReportData) -> dict[str, str]:
    found = {}
    if told.answer.others:
        flipped = "clusters" if told.answer.clustered else "questions"
        found["Ties"] = (
            f"Each complete trial against the best, {flipped} being what varies. The best was chosen, so a difference "
            f"is held against the largest one of all pairs of {len(told.answer.others) + 1} trials that chance gives: "
            f"the signs of whole {flipped} flipped {SIGN_FLIPS} times, for all trials at once, step-down (Romano and Wolf "
            "2005; Hansen, Lunde and Nason 2011). Where all are equal, one is called worse in at most 5 % of "
            "studies. Tied: p of 0.05 or more, so two trials may be tied and still differ. Intervals are of each "
            "comparison alone. Pruned trials are not compared."
        )
        found["Chance"] = (
            "The expected highest of that many normal values (Blom 1958), with the standard deviation that two equally "
            "good trials have which disagree as often as the tied ones do with the best."
        )
    if told.answer.noise:
        found["Noise floor"] = "Student's t times the root of 2 times the standard deviation over seeds."
    found["Importances"] = "PED-ANOVA (Watanabe, Bansal and Hutter 2023) as Optuna computes it, complete trials only."
    found["Times"] = (
        "From a trial's first submission to its result; waiting for a machine and for another try included."
    )
    return found
