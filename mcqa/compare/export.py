"""The comparison as files, and in MLflow."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcqa.compare import looks, page, sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.charts import draw_charts
from mcqa.compare.options import Options
from mcqa.compare.tables import Section
from mcqa.config.errors import ConfigError
from mcqa.config.schema import TrackingConfig
from mcqa.evaluation.flips import KINDS, by_subject, choice_text, most_confident
from mcqa.runs import tracking
from mcqa.runs.files import write_csv, write_json

log = logging.getLogger(__name__)

PAIR_COLUMNS = (
    "before", "after", "difference", "low", "high", "test", "p", "simultaneous_low", "simultaneous_high", "p_adjusted",
    "significant", "p_mcnemar", "bootstrap_low", "bootstrap_high", "bootstrap_p", "standard_error_questions",
    "standard_error_seeds", "minimum_detectable_difference", *KINDS, "net",
)  # fmt: skip


def write(comparison: Comparison, options: Options, sections: Sequence[Section] = ()) -> Path:
    """Write comparison.json, pairs.csv, questions.csv, comparison.html, pictures/ and each section's CSV file into
    options.out, and a line in its looks.jsonl.

    Raises:
        ConfigError: nothing can be written there.
    """
    folder = options.out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        looks.add(comparison.compared, options)
        write_json(folder / "comparison.json", _json(numbers(comparison, sections)))
        write_csv(folder / "pairs.csv", [_pair_row(comparison, pair) for pair in comparison.pairs])
        write_csv(folder / "questions.csv", list(_question_rows(comparison)))
        for section in sections:
            write_csv(folder / f"{section.name}.csv", section.rows)
        drawn = _charts(comparison)
        for name, svg in drawn.items():
            (folder / "pictures").mkdir(exist_ok=True)
            (folder / "pictures" / f"{name}.svg").write_text(svg, "utf-8")
        (folder / "comparison.html").write_text(page.render_page(comparison, drawn, sections), "utf-8")
    except OSError as error:
        raise ConfigError(
            f"out={folder}: the comparison cannot be written there: {error.strerror or error}."
        ) from error
    return folder


def _charts(comparison: Comparison) -> dict[str, str]:
    """The charts; where drawing fails there are none and one warning, for the numbers need none."""
    try:
        return draw_charts(comparison)
    except Exception as error:
        log.warning("Drawing the charts failed; the comparison has none: %s: %s", type(error).__name__, error)
        return {}


# --- comparison.json --------------------------------------------------------------------------------------------------


def numbers(comparison: Comparison, sections: Sequence[Section] = ()) -> dict[str, Any]:
    """Return everything but the questions, which questions.csv has."""
    compared = comparison.compared
    return {
        "verdict": sentences.verdict(comparison),
        "notes": sentences.notes(comparison),
        "split": compared.split,
        "metric": comparison.metric,
        "questions": len(comparison.questions),
        "clusters": comparison.clusters,
        "chance": comparison.chance,
        "resamples": comparison.resamples,
        "look": comparison.look,
        "configurations": [_configuration(comparison, i) for i in range(len(comparison.configurations))],
        "pairs": [_pair(comparison, pair) for pair in comparison.pairs],
        "differing": dict(compared.differing),
        "speed_only": dict(compared.speed_only),
        **{section.name: {"answers": section.answers, "rows": section.rows} for section in sections},
    }


def _configuration(comparison: Comparison, i: int) -> dict[str, Any]:
    this = comparison.configurations[i]
    runs = [{"run": run.shown, **run.seeds, "mlflow_run_id": run.mlflow_id} for run in this.runs]
    return {"label": this.label, "runs": runs, "trained": this.trained} | asdict(comparison.accuracies[i])


def _pair(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    difference = asdict(pair.difference)
    return {
        "before": comparison.label(pair.before),
        "after": comparison.label(pair.after),
        "difference": difference.pop("estimate"),
        **difference,
        "simultaneous_low": pair.low,
        "simultaneous_high": pair.high,
        "p_adjusted": pair.p_adjusted,
        "significant": pair.significant,
        "seed_variance_known": not pair.single_seed,
        "flips": pair.counts.by_kind,
        "net": pair.counts.net,
        "subjects": {
            subject.name: {**subject.by_kind, "net": subject.net}
            for subject in by_subject(comparison.questions, pair.flips)
        },
    }


def _json(value: Any) -> Any:
    """JSON has neither NaN nor infinity; null stands for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _json(member) for key, member in value.items()}
    return [_json(member) for member in value] if isinstance(value, (list, tuple)) else value


# --- CSV --------------------------------------------------------------------------------------------------------------


def _pair_row(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    entries = _pair(comparison, pair)
    bootstrap = {f"bootstrap_{name}": value for name, value in (entries["bootstrap"] or {}).items()}
    return {column: (entries | entries["flips"] | bootstrap).get(column) for column in PAIR_COLUMNS}


def _question_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Configurations go by their number; flip_2 is from configuration 1 to 2."""
    for index, question in enumerate(comparison.questions):
        row: dict[str, Any] = {
            "id": question.id,
            "subject": question.subject,
            "cluster": question.cluster,
            "question": question.question,
            "right_answer": question.choices[question.answer],
        }
        for number, answers in enumerate(comparison.answers, 1):
            answer = answers[index]
            row |= {
                f"answer_{number}": choice_text(question, answer),
                f"right_{number}": answer.right,
                f"margin_{number}": answer.margin,
            }
        yield row | {f"flip_{pair.after + 1}": pair.flips[index].kind for pair in comparison.with_first}


# --- MLflow -----------------------------------------------------------------------------------------------------------


def track(comparison: Comparison, folder: Path, options: Options) -> str:
    """Log the comparison to MLflow as a run named compare in the experiment of the first run.

    Return the sentence to show. No failure of MLflow is fatal: the files are written already.
    """
    first = comparison.compared.runs[0]
    config = _tracking(first.config_dict, options)
    # the stored outputs= may be relative to another working directory
    kinds = () if first.downloaded else first.folder.parents
    outputs = next((kind.parent for kind in kinds if kind.name in ("runs", "sweeps")), options.outputs)
    tracker = tracking.open_tracker(config, folder, outputs, "compare")
    tracker.start(_params(comparison), {"mlflow.source.name": "mcqa.compare", "mcqa.kind": "compare"})
    tracker.metrics(_metrics(comparison), step=0)
    for pair in comparison.with_first[:1]:
        write_json(folder / "flips.json", _json(_flips_table(comparison, pair)))
        tracker.table(folder / "flips.json")
    tables = sorted(path.name for path in folder.glob("*.csv"))
    for name in ("comparison.html", "comparison.json", *tables, "pictures"):
        if (folder / name).exists():
            tracker.artifact(folder / name)
    tracker.finish("FINISHED")
    if tracker.run_id is None:
        return "MLflow was not reached; the files above are complete, and the same command with out= tries again."
    return f"In MLflow: run compare ({tracker.run_id}) in experiment {config.experiment}"


def _tracking(config_dict: Mapping[str, Any], options: Options) -> TrackingConfig:
    """Where the first run was tracked, unless the user names another place."""
    return TrackingConfig(
        name="mlflow",
        uri=options.tracking_uri or config_dict.get("tracking.uri"),
        experiment=str(config_dict.get("tracking.experiment") or "mcqa"),
        log_every=1,
        system_metrics_every_s=0,
        log_model=False,
    )


def _params(comparison: Comparison) -> dict[str, object]:
    compared = comparison.compared
    runs = {
        f"run.{i}.{j}": run.mlflow_id or run.shown
        for i, configuration in enumerate(compared.configurations, 1)
        for j, run in enumerate(configuration.runs, 1)
    }
    labels = {f"configuration.{i}": configuration.label for i, configuration in enumerate(compared.configurations, 1)}
    shared = {"split": compared.split, "metric": comparison.metric, "verdict": sentences.verdict(comparison)}
    return {**shared, **labels, **runs}


def _metrics(comparison: Comparison) -> dict[str, float]:
    """The accuracy of each configuration, and its difference from the first."""
    metrics = {f"{i}/{comparison.metric}": accuracy.mean for i, accuracy in enumerate(comparison.accuracies, 1)}
    for pair in comparison.with_first:
        name = f"{pair.after + 1}_against_{pair.before + 1}"
        metrics |= {
            f"{name}/difference": pair.difference.estimate,
            f"{name}/ci_low": pair.low,
            f"{name}/ci_high": pair.high,
            f"{name}/p_adjusted": pair.p_adjusted,
        }
    return metrics


def _flips_table(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    """The questions that flip between the first two configurations, as MLflow shows a table.

    net: 1 gained, -1 lost; over seeds the change in the share of them that is right.
    """
    columns = ["kind", "net", "id", "subject", "question", "right", "before", "after", "margin_before", "margin_after"]
    rows = []
    for flip in (flip for kind in KINDS[:2] for flip in most_confident(pair.flips, kind)):
        question, answers = comparison.questions[flip.index], (flip.before, flip.after)
        texts = [question.choices[question.answer], *(choice_text(question, answer) for answer in answers)]
        identity = [flip.kind, round(flip.change, 9), question.id, question.subject, question.question]
        rows.append([*identity, *texts, *(answer.margin for answer in answers)])
    return {"columns": columns, "data": rows}
