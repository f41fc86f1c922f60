"""What a run says at its end: the table in the terminal, the questions it got wrong, the model card."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from rich.markup import escape
from rich.table import Table

from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import Config, SetConfig, Split
from mcqa.data.loading import Data
from mcqa.data.prompts import Shots
from mcqa.data.tokens import TrainingSet
from mcqa.evaluation.metrics import chance_accuracy, cluster_names
from mcqa.evaluation.record import Measurements
from mcqa.evaluation.report import charts
from mcqa.evaluation.report.formatting import percent
from mcqa.evaluation.report.model_card import write_model_card
from mcqa.evaluation.report.tables import details, interval, subjects, table, verdict, wrong
from mcqa.evaluation.statistics import PairedDifference, mcnemar
from mcqa.runs import run_folder
from mcqa.runs.files import read_yaml, write_csv, write_json
from mcqa.runs.record import Record, optional

SHOWN = 10  # bad rows in the terminal


def inputs(record: Record, data: Data, training: TrainingSet | None = None) -> None:
    """Before the model loads: what will be read, and what will not."""
    sizes = ", ".join(f"{split} {len(questions)}" for split, questions in data.splits.items())
    record.say(f"Questions: {sizes} ({record.config.data.name}; {record.config.data.licence})")
    for note in data.notes:
        record.say(f"  {note}")
    record.left_out(data.bad_rows, training.too_long if training else {})
    for bad in data.bad_rows[:SHOWN]:
        record.say(f"  left out: {bad}")
    if len(data.bad_rows) > SHOWN:
        record.say(f"  and {len(data.bad_rows) - SHOWN} more; left_out.json lists all")
    if training and training.too_long:
        count = len(training.too_long)
        what = "training example is" if count == 1 else "training examples are"
        record.say(f"  {count} {what} too long and left out; left_out.json has the list")


def base(record: Record, parameters: int) -> None:
    steering = record.config.evaluation.best_metric
    record.say(
        f"Base: {record.config.model.name}, {parameters / 1e6:.1f} million parameters; "
        f"{steering} {record.metrics[f'base/{steering}']:.3f}"
    )


def measured(measurements: Measurements, names: Sequence[str]) -> None:
    """The table of an evaluation, what else was found, and the questions answered wrong."""
    record = measurements.record
    record.say("", table(record.metrics, {name: name for name in names}, "Accuracy"))
    for name in names:
        rows = measurements.predictions[name]
        guessing = f"Guessing gives {percent(chance_accuracy([row.question for row in rows]))}."
        record.say(f"{name}:", *(f"  {line}" for line in [guessing, *details(record.metrics, name)]))
        _keep_rows(measurements, name)
        optional("Drawing the pictures", partial(_draw_answers, measurements, name))
    _keep_pictures(record)


def summary(evaluations: Sequence[Measurements]) -> None:
    """One table over several evaluations: what each measured with what, and how well; below it their folders, uncut."""
    records = [measurements.record for measurements in evaluations]
    shown = Table(title="All of them", title_justify="left", title_style="bold")
    shown.add_column("run", justify="right", no_wrap=True)
    for heading in ("model", "questions", "differs by"):
        shown.add_column(heading, overflow="fold")
    for heading in ("accuracy", "95 % interval"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for number, (measurements, own) in enumerate(zip(evaluations, _differing(records), strict=True), 1):
        record = measurements.record
        for name in measurements.predictions:
            cells = percent(record.metrics[f"{name}/acc"]), interval(record.metrics, f"{name}/acc")
            what = _model(record.config), _questions(record.config, name), " ".join(own)
            shown.add_row(str(number), *map(escape, what), *cells)
    folders = [f"  {number}  {run_folder.shown(record.folder)}" for number, record in enumerate(records, 1)]
    records[-1].say("", shown, "Run folders:", *folders)


def _differing(records: Sequence[Record]) -> list[list[str]]:
    """The overrides of each run that not all of them have, without the backslashes that lists of values get."""
    stored = [read_yaml(record.folder / "overrides.yaml") for record in records]
    overrides = [[re.sub(r"\\(.)", r"\1", one) for one in own] for own in stored]
    return [[one for one in own if not all(one in other for other in overrides)] for own in overrides]


def _model(config: Config) -> str:
    run: str | None = getattr(config, "run", None)
    if run:
        return Path(run).name
    return config.model.path or config.model.name if config.model.name == "local" else config.model.name


def _questions(config: Config, name: str) -> str:
    one = _set(config, name)
    return f"{one.name} {one.split}" if name in SPLITS else name


def _set(config: Config, name: str) -> SetConfig:
    """What a split or set of a run is a split of."""
    further = {one.name: one for one in config.evaluation.sets}
    if config.evaluation.dev is not None:
        further["dev"] = config.evaluation.dev
    return further.get(name) or SetConfig(config.data.name, cast(Split, name), config.data)


def write(measurements: Measurements, examples: int, history: Sequence[Mapping[str, float]]) -> None:
    """At the end: the table and the verdict, the model card, the wrong answers and the pictures."""
    record = measurements.record
    before, after = measurements.predictions["base/test"], measurements.predictions["test"]
    names = cluster_names([row.question for row in after], record.config.evaluation.cluster)
    paired = mcnemar([row.correct for row in before], [row.correct for row in after], names)
    record.metrics |= gain(paired)
    record.log(gain(paired), step=int(history[-1]["step"]))
    record.say("", table(record.metrics, _before_and_after(record), "Accuracy on test"))
    record.say(verdict(paired, chance_accuracy([row.question for row in after])))
    record.say(*details(record.metrics, "test"), "")
    write_model_card(measurements, examples)
    record.keep(record.folder / "model")
    _keep_rows(measurements, "test")
    optional("Drawing the pictures", lambda: _draw(measurements, history))
    record.say(f"Model: {run_folder.shown(record.folder / 'model')}", f"See it in MLflow: {_mlflow(record.config)}")


def gain(paired: PairedDifference) -> dict[str, float]:
    """What training brought on test. acc_gain_p is the p that the verdict goes by: it knows of clusters, if any."""
    return {
        "test/acc_gain": paired.difference,
        "test/acc_gain_ci_low": paired.low,
        "test/acc_gain_ci_high": paired.high,
        "test/acc_gain_p": paired.p if paired.p_clustered is None else paired.p_clustered,
        "test/mcnemar_p": paired.p,
    }


def _before_and_after(record: Record) -> dict[str, str]:
    """Test first, then the further sets: the prefix of each in the metrics, and what to call it."""
    rows = {"base/test": "base", "test": "fine-tuned"}
    for one in record.config.evaluation.sets:
        rows |= {f"base/{one.name}": f"base on {one.name}", one.name: f"fine-tuned on {one.name}"}
    return rows


def harness(measurements: Measurements, names: Sequence[str], model: Any, tokenizer: Any, shots: Shots) -> None:
    """The files of lm-evaluation-harness, where evaluation.harness_task asks for them."""
    record = measurements.record
    task = record.config.evaluation.harness_task
    if task is None:
        return
    from mcqa.evaluation.lm_eval_files import Measurement
    from mcqa.evaluation.lm_eval_files import write as write_files

    what = record.config.model.path or record.config.model.name
    for name in names:
        of = _set(record.config, name)
        about = Measurement(what, model, tokenizer, record.config, of, shots, record.environment, record.began)
        write_files(
            record.folder / "harness",
            task if len(names) == 1 else f"{task}_{name}",
            measurements.predictions[name],
            about,
        )
    record.keep(record.folder / "harness")


def _keep_rows(measurements: Measurements, name: str) -> None:
    """The questions answered wrong, and accuracy by subject where there are subjects."""
    record = measurements.record
    path = record.folder / f"wrong_{name}.json"
    write_json(path, wrong(measurements.predictions[name]))
    record.tracker.table(path)
    if rows := subjects(measurements.predictions[name], record.config.evaluation.cluster):
        path = record.folder / f"subjects_{name}.csv"
        write_csv(path, rows)
        record.keep(path)


def _draw(measurements: Measurements, history: Sequence[Mapping[str, float]]) -> None:
    record = measurements.record
    folder = record.folder / "pictures"
    charts.curves(folder, history, record.metrics)
    charts.subjects(folder, measurements.predictions["base/test"], measurements.predictions["test"])
    _draw_answers(measurements, "test")
    both = {"base": measurements.predictions["base/test"], "fine-tuned": measurements.predictions["test"]}
    charts.risk_coverage(folder, "test", both)
    _keep_pictures(record)


def _draw_answers(measurements: Measurements, name: str) -> None:
    """How sure the answers are, and what depends on the order of the options or needs no question."""
    record = measurements.record
    folder, rows = record.folder / "pictures", measurements.predictions[name]
    charts.reliability(folder, name, rows, record.metrics.get(f"{name}/temperature"))
    charts.risk_coverage(folder, name, {name: rows})
    charts.choices_only(folder, name, rows)
    if any(row.orders for row in rows):
        charts.letters(folder, name, rows)
        charts.orders(folder, name, rows)


def _keep_pictures(record: Record) -> None:
    if (folder := record.folder / "pictures").is_dir():
        record.keep(folder)


def _mlflow(config: Config) -> str:
    if config.tracking.name == "none":
        return "tracking=none, nothing was sent"
    return config.tracking.uri or f"make ui (mlflow ui --backend-store-uri sqlite:///{config.outputs}/mlflow.db)"
