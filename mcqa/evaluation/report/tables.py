"""What a run measured, in tables and sentences.

`metrics` are those of a run by their full name, such as test/acc; `split` and `name` are what they begin with.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from mcqa.evaluation.metrics import ClusterBy, by_subject, compute_metrics, within_subject
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report.formatting import (
    ONE_SEED,
    difference,
    few_clusters,
    p_equals,
    percent,
    percent_interval,
)
from mcqa.evaluation.statistics import ALPHA, PairedDifference
from mcqa.evaluation.statistics.seeds import seed_deviation_allowed

PRIOR_NEEDS = (
    "it shows only where each choice stood at each letter equally often (evaluation.permutations=cyclic, all, or at "
    "least as many orders as choices)"
)


def interval(metrics: Mapping[str, float], name: str) -> str:
    """Return the 95 % interval of an accuracy such as test/acc."""
    return percent_interval(metrics[f"{name}_ci_low"], metrics[f"{name}_ci_high"])


def accuracy_table(
    metrics: Mapping[str, float],
    names: Mapping[str, str],
    title: str,
    first_looks: Mapping[str, tuple[int, int]] | None = None,
) -> Table:
    """Return a table with a row for each split in `names`, which says what to call it.

    first_looks: those of the record (mcqa.runs.record), for the caption.
    """
    caption = first_look(first_looks) if first_looks else None
    table = Table(title=title, title_justify="left", title_style="bold", caption=caption, caption_justify="left")
    for heading in ("", "accuracy", "95 % interval", "acc_norm", "questions"):
        table.add_column(heading, justify="left" if not heading else "right")
    for split, name in names.items():
        accuracy, normalised = (percent(metrics[f"{split}/{metric}"]) for metric in ("acc", "acc_norm"))
        table.add_row(name, accuracy, interval(metrics, f"{split}/acc"), normalised, f"{metrics[f'{split}/n']:.0f}")
    return table


LOSS_COLUMNS = ("", "loss", "perplexity", "texts")
LOSS_CAPTION = (
    "loss: nats a token, in conversations of the assistant's last turn with its end; perplexity: e to the power of it"
)


def loss_rows(metrics: Mapping[str, float], names: Mapping[str, str]) -> list[list[str]]:
    """Return the loss of the conversations of each split in `names`, which says what to call it."""
    columns = (("loss", "{:.3f}"), ("perplexity", "{:.2f}"), ("n", "{:.0f}"))
    return [[name, *(form.format(metrics[f"{split}/{key}"]) for key, form in columns)] for split, name in names.items()]


def losses_table(metrics: Mapping[str, float], names: Mapping[str, str]) -> Table:
    """Return the table of `loss_rows`."""
    table = Table(
        title="Loss of held-out text",
        title_justify="left",
        title_style="bold",
        caption=LOSS_CAPTION,
        caption_justify="left",
    )
    for heading in LOSS_COLUMNS:
        table.add_column(heading, justify="right" if heading else "left")
    for row in loss_rows(metrics, names):
        table.add_row(*row)
    return table


def preferred(metrics: Mapping[str, float], names: Mapping[str, str]) -> list[str]:
    """Return a sentence on how often the better answer of data=pairs is the likelier one; none of other data."""
    measured = {name: metrics[f"{split}/acc_pairs"] for split, name in names.items() if f"{split}/acc_pairs" in metrics}
    shares = ", ".join(f"{name} {percent(value)}" for name, value in measured.items())
    return [f"The better answer is likelier than the worse one: {shares}."] if measured else []


CALIBRATION_COLUMNS = ("", "ECE", "by chance", "debiased", "95 % interval")
CALIBRATION_CAPTION = (
    "ECE: expected calibration error; by chance: that of a perfectly calibrated model of these confidences; debiased: "
    "without what chance adds; temperature: as dev fits it"
)


def calibration_rows(metrics: Mapping[str, float], names: Mapping[str, str]) -> list[list[str]]:
    """Return the expected calibration error of each split in `names`, and below it that at its temperature."""
    rows = []
    for split, name in names.items():
        rows.append([name, *_calibration(metrics, split, "")])
        if (temperature := metrics.get(f"{split}/temperature")) is not None:
            rows.append([f"  at temperature {temperature:.2f}", *_calibration(metrics, split, "_scaled")])
    return rows


def _calibration(metrics: Mapping[str, float], split: str, end: str) -> list[str]:
    ece, chance, debiased, low, high = (
        f"{metrics[f'{split}/{name}{end}']:.3f}"
        for name in ("ece", "ece_if_calibrated", "ece_debiased", "ece_ci_low", "ece_ci_high")
    )
    return [ece, chance, debiased, f"{low} – {high}"]


def calibration_table(metrics: Mapping[str, float], names: Mapping[str, str], title: str) -> Table:
    """Return the table of `calibration_rows`."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=CALIBRATION_CAPTION,
        caption_justify="left",
    )
    for heading in CALIBRATION_COLUMNS:
        table.add_column(heading, justify="right" if heading else "left")
    for row in calibration_rows(metrics, names):
        table.add_row(*row)
    return table


def first_look(first_looks: Mapping[str, tuple[int, int]]) -> str:
    """Return in a sentence of which sets only some questions were measured."""
    looks = [f"{few} of {every} {name} questions" for name, (few, every) in first_looks.items()]
    return f"A first look: {', '.join(looks)} (evaluation.test_limit)."


UNTRAINED = "Nothing was trained (objective=none): this is the model as it is, which no seed changes; none is saved."
BASE_NOT_MEASURED = "The base was not measured (evaluation.before=false), so nothing here says what training changed."


def begun_from(model_run: str | None) -> str:
    """Return what a verdict calls the model before training: that of model.run, or the base."""
    return "the base" if model_run is None else f"the run it began from ({model_run})"


def verdict(paired: PairedDifference, chance: float, base: str = "the base") -> str:
    """Return in a sentence whether the difference that training made is significant, and of what: of this run.

    base: what the model before training is called.
    """
    test, p = "McNemar mid-p test", paired.p
    if paired.p_clustered is not None:
        test, p = "cluster-robust test", paired.p_clustered
    better = "better" if paired.difference > 0 else "worse"
    result = f"The fine-tuned model is significantly {better} than {base}"
    if p >= ALPHA:
        result = f"No statistically significant difference between the fine-tuned model and {base}"
    numbers = f"{difference(paired.difference, paired.low, paired.high)}, {p_equals(p)}, {test}; {ONE_SEED}"
    return (
        f"{result} ({numbers}): {paired.newly_right} newly right, {paired.newly_wrong} newly wrong on the same "
        f"questions. Guessing gives {percent(chance)}."
    )


def about_seeds(paired: PairedDifference, command: str) -> str:
    """Say how much seed variance a significant difference would bear, and which command shows it.

    command: trains the run again with two further seeds.
    """
    if paired.p_decisive >= ALPHA:
        return f"How much other seeds change this, three seeds show: {command}"
    p = paired.p_decisive
    allowed = seed_deviation_allowed(paired.difference, p, trained_runs=1)
    return (
        f"It would stay significant up to a seed standard deviation of {100 * allowed:.1f} points. Three seeds show "
        f"that: {command}"
    )


def what_a_test_finds(paired: PairedDifference) -> str:
    """Say which true difference between the two models a test of them finds; empty where it has found one."""
    if paired.p_decisive < ALPHA:
        return ""
    minimum = paired.minimum_detectable_difference
    if minimum >= 1:
        return "These questions are too few to find any difference between base and fine-tuned."
    return f"Minimum detectable difference between base and fine-tuned (80 % power): {100 * minimum:.1f} points."


def details(metrics: Mapping[str, float], split: str) -> Iterator[str]:
    """Yield what else was measured on a split, a sentence each."""
    values = {name.removeprefix(f"{split}/"): value for name, value in metrics.items() if name.startswith(f"{split}/")}

    def accuracy(name: str) -> str:
        return f"{percent(values[name])} ({interval(values, name)})"

    if "clusters" in values:
        clusters = round(values["clusters"])
        yield few_clusters(clusters, "evaluation.cluster") or (
            f"95 % intervals account for {clusters} clusters of related questions."
        )
    scaled = ""
    if "brier_scaled" in values:
        scaled = f" ({values['brier_scaled']:.3f} at temperature {values['temperature']:.2f}, fitted on dev)"
    yield f"Brier score {values['brier']:.3f}{scaled}."
    if "acc_mutual_info" in values:
        yield f"Corrected for each choice's probability without the question: {accuracy('acc_mutual_info')}."
    if "acc_choices_only" in values:
        yield f"With the question removed: {accuracy('acc_choices_only')}."
    if "acc_worst" in values:
        yield (
            f"Over the orders of the options: {percent(values['acc_orders'])}; right under every order "
            f"{accuracy('acc_worst')}; the same choice under every order {percent(values['consistency'])}; standard "
            f"deviation of recall between letters {100 * values['recall_std']:.1f} points."
        )
        if f"base/{split}/recall_std" in metrics:
            before = {name: metrics[f"base/{split}/{name}"] for name in ("recall_std", "consistency")}
            yield (
                f"Position bias before and after training: standard deviation of recall between letters "
                f"{100 * before['recall_std']:.1f} and {100 * values['recall_std']:.1f} points; the same choice under "
                f"every order {percent(before['consistency'])} and {percent(values['consistency'])}."
            )
        averaged = f"averaged over orders {accuracy('acc_averaged')}."
        if "acc_debiased" in values:
            yield f"With the letters' prior removed {accuracy('acc_debiased')}, {averaged}"
        else:
            yield f"{averaged[0].upper()}{averaged[1:]} The letters' prior is not removed: {PRIOR_NEEDS}."
    for name, meaning in (
        ("ties", "whose highest score two choices share"),
        ("nan", "with a score that is not a number, counted as wrong"),
        ("truncated", "longer than the model's context, which lost their beginning"),
        ("too_long", "with a choice longer than the model's context, not measured and counted as wrong"),
    ):
        if values.get(name):
            yield f"Questions {meaning}: {values[name]:.0f}."


def subjects(rows: Sequence[Prediction], cluster: ClusterBy) -> list[dict[str, Any]]:
    """Return a row for each subject: subject, n, acc, its standard error and interval, acc_norm.

    A subject of which no question has a score is left out.
    """
    columns = ("n", "acc", "acc_stderr_independent", "acc_ci_low", "acc_ci_high", "acc_norm")
    table = []
    for name, predictions in by_subject(rows).items():
        if any(row.prediction is not None for row in predictions):
            metrics = compute_metrics(predictions, within_subject(cluster))
            table.append({"subject": name} | {column: metrics[column] for column in columns})
    return table


def wrong_answers(rows: Sequence[Prediction]) -> dict[str, Any]:
    """Return the questions that were answered wrong, the most confident mistakes first, as MLflow shows a table."""
    wrong = sorted((row for row in rows if not row.correct), key=_margin, reverse=True)
    columns = ["id", "subject", "question", "right", "answered", "margin", "scores"]
    return {"columns": columns, "data": [_wrong_row(row) for row in wrong]}


def _margin(row: Prediction) -> float:
    """By how many nats the chosen answer beats the right one; infinite where a score is not a number."""
    return float("inf") if row.prediction is None else max(row.scores) - row.scores[row.question.answer]


def _wrong_row(row: Prediction) -> list[Any]:
    question, choices = row.question, row.question.choices
    scores = "; ".join(f"{text}: {score:.2f}" for text, score in zip(choices, row.scores, strict=True))
    answered, margin = ("", None) if row.prediction is None else (choices[row.prediction], round(_margin(row), 3))
    right = choices[question.answer]
    return [question.id, question.subject, question.question, right, answered, margin, scores]
