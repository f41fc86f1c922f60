"""The comparison as files, and in MLflow."""

import csv
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mcqa.compare import page, sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.charts import charts
from mcqa.compare.flips import KINDS, Flip, by_subject, choice_text, surest
from mcqa.compare.options import Options
from mcqa.config.errors import ConfigError
from mcqa.config.schema import TrackingConfig
from mcqa.data.question import Question
from mcqa.runs import tracking
from mcqa.runs.files import write_json

log = logging.getLogger(__name__)

PAIR_COLUMNS = (
    "before", "after", "difference", "low", "high", "test", "p", "p_holm", "apart", "p_mcnemar",
    "bootstrap_low", "bootstrap_high", "bootstrap_p", "from_questions", "from_seeds", "smallest", *KINDS, "net",
)  # fmt: skip


def write(comparison: Comparison, options: Options) -> Path:
    """comparison.json, pairs.csv, questions.csv, comparison.html and pictures/ in options.out.

    Raises:
        ConfigError: nothing can be written there.
    """
    folder = options.out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "comparison.json", _plain(numbers(comparison)))
        _write_csv(folder / "pairs.csv", PAIR_COLUMNS, (_pair_row(comparison, pair) for pair in comparison.pairs))
        _write_csv(folder / "questions.csv", _question_columns(comparison), _question_rows(comparison))
        drawn = _drawn(comparison)
        for name, svg in drawn.items():
            (folder / "pictures").mkdir(exist_ok=True)
            (folder / "pictures" / f"{name}.svg").write_text(svg, "utf-8")
        (folder / "comparison.html").write_text(page.page(comparison, drawn), "utf-8")
    except OSError as error:
        raise ConfigError(
            f"out={folder}: the comparison cannot be written there: {error.strerror or error}."
        ) from error
    return folder


def _drawn(comparison: Comparison) -> dict[str, str]:
    """The pictures; where drawing fails, one warning, for the numbers need none."""
    try:
        return charts(comparison)
    except Exception as error:
        log.warning("Drawing the pictures failed and was left out: %s: %s", type(error).__name__, error)
        return {}


# --- comparison.json --------------------------------------------------------------------------------------------------


def numbers(comparison: Comparison) -> dict[str, Any]:
    """Everything but the questions, which questions.csv has."""
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
        "configurations": [_configuration(comparison, i) for i in range(len(comparison.configurations))],
        "pairs": [_pair(comparison, pair) for pair in comparison.pairs],
        "differing": dict(compared.differing),
        "speed_only": dict(compared.speed_only),
    }


def _configuration(comparison: Comparison, i: int) -> dict[str, Any]:
    found = comparison.configurations[i]
    runs = [{"run": run.shown, "seed": run.seed, "mlflow_run_id": run.mlflow_id} for run in found.runs]
    return {"label": found.label, "runs": runs, "trained": found.trained} | asdict(comparison.accuracies[i])


def _pair(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    found = asdict(pair.found)
    return {
        "before": comparison.label(pair.before),
        "after": comparison.label(pair.after),
        "difference": found.pop("points"),
        **found,
        "p_holm": pair.p_adjusted,
        "apart": pair.apart,
        "seeds_known": not pair.unknown_seeds,
        "flips": {kind: pair.count(kind) for kind in KINDS},
        "net": pair.net,
        "subjects": {
            subject.name: {**subject.counts, "net": subject.net}
            for subject in by_subject(comparison.questions, pair.flips)
        },
    }


def _plain(value: Any) -> Any:
    """JSON has neither NaN nor infinity; null stands for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, (list, tuple)) else value


# --- CSV --------------------------------------------------------------------------------------------------------------


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def _pair_row(comparison: Comparison, pair: Pair) -> list[Any]:
    found = pair.found
    drawn = found.bootstrap
    return [
        *(comparison.label(pair.before), comparison.label(pair.after)),
        *(found.points, found.low, found.high, found.test, found.p, pair.p_adjusted, pair.apart, found.p_mcnemar),
        *((drawn.low, drawn.high, drawn.p) if drawn else (None, None, None)),
        *(found.from_questions, found.from_seeds, found.smallest),
        *(pair.count(kind) for kind in KINDS),
        pair.net,
    ]


def _question_columns(comparison: Comparison) -> list[str]:
    """Configurations go by their number; flip_2 is from configuration 1 to 2."""
    answers = [f"{name}_{i + 1}" for i in range(len(comparison.answers)) for name in ("answer", "right", "margin")]
    flips = [f"flip_{pair.after + 1}" for pair in comparison.with_first]
    return ["id", "subject", "cluster", "question", "right_answer", *answers, *flips]


def _question_rows(comparison: Comparison) -> Iterator[list[Any]]:
    for index, question in enumerate(comparison.questions):
        row: list[Any] = [question.id, question.subject, question.cluster, question.question]
        row.append(question.choices[question.answer])
        for answers in comparison.answers:
            found = answers[index]
            row += [choice_text(question, found), found.right, found.margin]
        yield row + [pair.flips[index].kind for pair in comparison.with_first]


# --- MLflow -----------------------------------------------------------------------------------------------------------


def track(comparison: Comparison, folder: Path, options: Options) -> str:
    """Keep it as a run named compare in the experiment of the first run; the sentence to tell.

    Nothing here is fatal: the files are written already.
    """
    first = comparison.compared.runs[0]
    config = _tracking(first.tree, options)
    outputs = _outputs_of(first.folder) if not first.downloaded else None
    tracker = tracking.open_tracker(config, folder, outputs or options.outputs, "compare")
    tracker.start(_params(comparison), {"mlflow.source.name": "mcqa.compare", "mcqa.kind": "compare"})
    tracker.metrics(_metrics(comparison), step=0)
    for pair in comparison.with_first[:1]:
        write_json(folder / "flips.json", _plain(_flips_table(comparison, pair)))
        tracker.table(folder / "flips.json")
    for name in ("comparison.html", "comparison.json", "pairs.csv", "questions.csv", "pictures"):
        if (folder / name).exists():
            tracker.artifact(folder / name)
    tracker.finish("FINISHED")
    if tracker.run_id is None:
        return "MLflow was not reached; the files above are complete, and the same command with out= tries again."
    return f"In MLflow: run compare ({tracker.run_id}) in experiment {config.experiment}"


def _tracking(tree: Mapping[str, Any], options: Options) -> TrackingConfig:
    """Where the first run was tracked, unless the user names another place."""
    return TrackingConfig(
        name="mlflow",
        uri=options.tracking_uri or tree.get("tracking.uri"),
        experiment=str(tree.get("tracking.experiment") or "mcqa"),
        log_every=1,
        system_metrics_every_s=0,
        log_model=False,
    )


def _outputs_of(folder: Path) -> Path | None:
    """The outputs folder that a run folder lies in; the stored one may be relative to who knows where."""
    for parent in folder.parents:
        if parent.name in ("runs", "sweeps"):
            return parent.parent
    return None


def _params(comparison: Comparison) -> dict[str, object]:
    compared = comparison.compared
    runs = {
        f"run.{i}.{j}": run.mlflow_id or run.shown
        for i, configuration in enumerate(compared.configurations, 1)
        for j, run in enumerate(configuration.runs, 1)
    }
    labels = {f"configuration.{i}": found.label for i, found in enumerate(compared.configurations, 1)}
    split = {"split": compared.split, "metric": comparison.metric, "verdict": sentences.verdict(comparison)}
    return {**split, **labels, **runs}


def _metrics(comparison: Comparison) -> dict[str, float]:
    """Accuracy of each configuration, and each one's difference from the first."""
    found = {f"{i}/{comparison.metric}": accuracy.mean for i, accuracy in enumerate(comparison.accuracies, 1)}
    for pair in comparison.with_first:
        name = f"{pair.after + 1}_against_{pair.before + 1}"
        found |= {
            f"{name}/difference": pair.found.points,
            f"{name}/ci_low": pair.found.low,
            f"{name}/ci_high": pair.found.high,
            f"{name}/p_holm": pair.p_adjusted,
        }
    return found


def _flips_table(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    """The questions that flip between the first two configurations, as MLflow shows a table.

    net: 1 gained, -1 lost; over seeds the change in the share of them that is right.
    """
    columns = ["kind", "net", "id", "subject", "question", "right", "before", "after", "margin_before", "margin_after"]
    flipped = [flip for kind in KINDS[:2] for flip in surest(pair.flips, kind)]
    return {"columns": columns, "data": [_flip_row(comparison.questions[flip.index], flip) for flip in flipped]}


def _flip_row(question: Question, flip: Flip) -> list[Any]:
    texts = [question.choices[question.answer], choice_text(question, flip.before), choice_text(question, flip.after)]
    margins = [flip.before.margin, flip.after.margin]
    return [flip.kind, round(flip.change, 9), question.id, question.subject, question.question, *texts, *margins]
