"""What measurements say, in tables and sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from mcqa.evaluation.metrics import ClusterBy, by_subject, choice_scores, compute_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.formatting import few_clusters, p_value, percent
from mcqa.evaluation.statistics import ALPHA, PairedDifference


def interval(values: Mapping[str, float], name: str) -> str:
    """The 95 % interval of an accuracy such as test/acc."""
    return f"{100 * values[f'{name}_ci_low']:.1f} – {percent(values[f'{name}_ci_high'])}"


def table(values: Mapping[str, float], rows: Mapping[str, str], title: str) -> Table:
    """One line per split in `rows` (its prefix in the metrics, and what to call it)."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("", "accuracy", "95 % interval", "acc_norm", "questions"):
        shown.add_column(heading, justify="left" if not heading else "right")
    for split, name in rows.items():
        shown.add_row(
            name,
            percent(values[f"{split}/acc"]),
            interval(values, f"{split}/acc"),
            percent(values[f"{split}/acc_norm"]),
            f"{values[f'{split}/n']:.0f}",
        )
    return shown


def verdict(paired: PairedDifference, chance: float) -> str:
    """The paired difference in a sentence that says whether it is noise."""
    clustered = paired.p_clustered is not None
    p = paired.p_clustered if paired.p_clustered is not None else paired.p
    shown = p_value(p) if p < 1e-4 else f"= {p_value(p)}"
    test = "test on clusters" if clustered else "exact McNemar test"
    reading = "more than noise" if p < ALPHA else "not told apart from noise"
    return (
        f"{100 * paired.difference:+.1f} points ({100 * paired.low:+.1f} to {100 * paired.high:+.1f}) on the same "
        f"questions: {paired.newly_right} newly right, {paired.newly_wrong} newly wrong; {test} p {shown}, {reading}. "
        f"Guessing gives {percent(chance)}."
    )


def details(values: Mapping[str, float], split: str) -> Iterator[str]:
    """What else the metrics of a split say, a sentence each; nothing of what was not measured."""

    def has(name: str) -> bool:
        return f"{split}/{name}" in values

    def of(name: str) -> float:
        return values[f"{split}/{name}"]

    def share(name: str) -> str:
        return f"{percent(of(name))} ({interval(values, f'{split}/{name}')})"

    if has("clusters"):
        count = round(of("clusters"))
        yield few_clusters(count, "evaluation.cluster") or (
            f"The interval knows that the questions come in {count} groups that go together."
        )
    smallest = of("minimum_detectable_difference")
    yield (
        f"The questions could show a difference from {100 * smallest:.1f} points."
        if smallest < 1
        else "The questions are too few to show any difference."
    )
    scaled = f" ({of('ece_scaled'):.3f} at the temperature {of('temperature'):.2f} of dev)" if has("ece_scaled") else ""
    yield f"Expected calibration error {of('ece'):.3f}{scaled}, Brier score {of('brier'):.3f}."
    if has("acc_mutual_info"):
        yield f"Corrected for how probable each choice is by itself: {share('acc_mutual_info')}."
    if has("acc_choices_only"):
        yield f"With the question removed: {share('acc_choices_only')}."
    if has("acc_worst"):
        yield (
            f"Over the orders of the options: {percent(of('acc_orders'))}; right under every order "
            f"{share('acc_worst')}; the same choice under every order {percent(of('consistency'))}; recall differs by "
            f"{100 * of('recall_std'):.1f} points (standard deviation) between letters."
        )
        yield f"With the letters' prior removed {share('acc_debiased')}, averaged over orders {share('acc_averaged')}."
    for name, what in (("ties", "two best choices with the same score"), ("nan", "a score that is not a number")):
        if of(name):
            yield f"{of(name):.0f} questions have {what}."
    if of("truncated"):
        yield f"{of('truncated'):.0f} questions are longer than the model's context and lost their beginning."


def subjects(rows: Sequence[Prediction], cluster: ClusterBy) -> list[dict[str, Any]]:
    """One row a subject: subject, n, acc, its standard error and interval, acc_norm; none of one without any score."""
    names = ("n", "acc", "acc_stderr", "acc_ci_low", "acc_ci_high", "acc_norm")
    within: ClusterBy = "none" if cluster == "none" else "passage"  # of one subject all are of that subject
    groups = {name: of for name, of in by_subject(rows).items() if any(row.prediction is not None for row in of)}
    measured = {name: compute_metrics(of, within) for name, of in groups.items()}
    return [{"subject": name} | {key: found[key] for key in names} for name, found in measured.items()]


def wrong(rows: Sequence[Prediction]) -> dict[str, Any]:
    """The questions that were answered wrong, the surest mistakes first, as MLflow shows a table."""
    found = sorted((row for row in rows if not row.correct), key=_margin, reverse=True)
    columns = ["id", "subject", "question", "right", "answered", "margin", "scores"]
    return {"columns": columns, "data": [_wrong_row(row) for row in found]}


def _margin(row: Prediction) -> float:
    """By how many nats the chosen answer beat the right one; infinite where a score is no number."""
    return float("inf") if row.prediction is None else max(choice_scores(row, "acc")) - row.scores[row.question.answer]


def _wrong_row(row: Prediction) -> list[Any]:
    question = row.question
    shown = "; ".join(f"{text}: {score:.2f}" for text, score in zip(question.choices, row.scores, strict=True))
    answered = "" if row.prediction is None else question.choices[row.prediction]
    margin = None if row.prediction is None else round(_margin(row), 3)
    return [
        question.id,
        question.subject,
        question.question,
        question.choices[question.answer],
        answered,
        margin,
        shown,
    ]
