"""What a run shows in the terminal and writes at its end: tables, wrong answers, charts and the model card."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from rich.table import Table

from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import Config, SetConfig, Split
from mcqa.config.secrets import redact, without_secrets
from mcqa.data.loading import Data
from mcqa.data.prompts import Shots
from mcqa.data.tokens import TrainingSet
from mcqa.evaluation.conversations import BESIDE_QUESTIONS
from mcqa.evaluation.metrics import chance_accuracy, cluster_names
from mcqa.evaluation.record import Measurements
from mcqa.evaluation.report import charts, run_page, stages
from mcqa.evaluation.report.curves import curves_of
from mcqa.evaluation.report.formatting import count, more_seeds, percent
from mcqa.evaluation.report.tables import (
    BASE_NOT_MEASURED,
    CALIBRATION_CAPTION,
    CALIBRATION_COLUMNS,
    LOSS_CAPTION,
    LOSS_COLUMNS,
    UNTRAINED,
    about_seeds,
    accuracy_table,
    begun_from,
    calibration_rows,
    calibration_table,
    details,
    first_look,
    interval,
    loss_rows,
    losses_table,
    preferred,
    subjects,
    verdict,
    what_a_test_finds,
    wrong_answers,
)
from mcqa.evaluation.statistics import PairedDifference, mcnemar
from mcqa.models.model_card import with_export, with_usage
from mcqa.models.model_files import EMBEDDED
from mcqa.runs import chain, looks, run_folder
from mcqa.runs.files import read_yaml, shortened, write_csv, write_json
from mcqa.runs.record import Record, measures_base, optional

SHOWN = 10  # bad rows in the terminal
CARD_ROWS = {"base/test": "test, before", "test": "test, after", "dev": "dev, after (it chose the checkpoint)"}


def show_inputs(record: Record, data: Data, training: TrainingSet | None = None) -> None:
    """Say before the model loads which questions are read, and which are left out."""
    what = f"{record.config.data.name}; {record.config.data.licence}"
    for noun, splits in (("Questions", data.splits), ("Conversations", data.conversations)):
        if sizes := ", ".join(f"{split} {len(entries)}" for split, entries in splits.items()):
            record.say(f"{noun}: {sizes} ({what})")
    for note in data.notes:
        record.say(f"  {note}")
    if training and record.config.objective.reads_texts:
        tokens = sum(len(example.input_ids) for example in training.examples)
        record.say(f"  {tokens:,} tokens in {len(training.examples):,} training examples")
    for warning in record.warnings:
        record.say(f"  Warning: {warning}")
    record.left_out(data.bad_rows, training.too_long if training else {})
    for bad in data.bad_rows[:SHOWN]:
        record.say(f"  left out: {bad}")
    if len(data.bad_rows) > SHOWN:
        record.say(f"  and {len(data.bad_rows) - SHOWN} more; left_out.json lists all")
    if training and training.too_long:
        too_long = count(len(training.too_long), "training example")
        record.say(f"  left out as too long: {too_long}; left_out.json lists all")


def show_base(record: Record, parameters: int) -> None:
    metric = record.config.evaluation.best_metric
    value = record.metrics.get(f"base/{metric}")
    measured = "not measured (evaluation.before=false)" if value is None else f"{metric} {value:.3f}"
    before = chain.stage_before(record.folder)
    name = record.config.model.name + (f" after {before.name}" if before else "")
    record.say(f"Base: {name}, {parameters / 1e6:.1f} million parameters; {measured}")


def report_evaluation(measurements: Measurements) -> None:
    """Show the tables and details of an evaluation; write the wrong answers and the charts."""
    _report_measured(measurements, list(measurements.predictions), list(measurements.losses))


def report_untrained(measurements: Measurements) -> None:
    """Show and write of a run that trains nothing what an evaluation has, once of each set, and where it is tracked."""
    record = measurements.record
    names, of_losses = (
        [name for name in measured if not name.startswith("base/")]
        for measured in (measurements.predictions, measurements.losses)
    )
    record.say(UNTRAINED)
    _describe(measurements, [name for name in names if name != "dev"])
    _report_measured(measurements, names, of_losses)
    record.say(*_where_tracked(record))


def _report_measured(measurements: Measurements, names: Sequence[str], of_losses: Sequence[str]) -> None:
    record = measurements.record
    shown = {name: name for name in names}
    if shown:
        record.say("", accuracy_table(record.metrics, shown, "Accuracy", record.first_looks))
        record.say(calibration_table(record.metrics, shown, "Calibration"))
    if of_losses:
        record.say("", losses_table(record.metrics, {name: name for name in of_losses}))
    for name in shown:
        rows = measurements.predictions[name]
        guessing = f"Guessing gives {percent(chance_accuracy([row.question for row in rows]))}."
        record.say(f"{name}:", *(f"  {line}" for line in [guessing, *details(record.metrics, name)]))
        _keep_rows(measurements, name)
        optional("Drawing the charts", partial(_draw, measurements, name))
    _keep_charts(record)
    optional(f"Writing {run_page.FILE}", partial(run_page.write, record))


def show_looks(record: Record, trained: Path) -> None:
    """Say how often the test of this question set has been looked at with a run's model; its model card says so too.

    trained: the folder of that run.
    """
    data = record.config.data.name
    at_test = looks.read(trained, data)
    if len(at_test) > 1:
        record.say(f"Looks at test of {data} with this model: {looks.times(at_test)}.")
    looks.update_card(trained)


def show_summary(evaluations: Sequence[Measurements]) -> None:
    """Show one table over several evaluations: model, questions and accuracy of each; below it their folders.

    The same numbers are written as a CSV file in outputs/summaries.
    """
    records = [measurements.record for measurements in evaluations]
    models, differing = _short_names([_model(record.config) for record in records]), _differing(records)
    shown = Table(title="All evaluations", title_justify="left", title_style="bold")
    shown.add_column("run", justify="right", no_wrap=True)
    for heading, width in (("model", 7), ("questions", 9), ("differs by", 14)):
        shown.add_column(heading, overflow="fold", min_width=width)
    for heading in ("accuracy", "95 % interval", "acc_norm"):
        shown.add_column(heading, justify="right", no_wrap=True)
    rows = []
    for number, (measurements, model, own) in enumerate(zip(evaluations, models, differing, strict=True), 1):
        record = measurements.record
        for name in measurements.predictions:
            accuracy, normalised = (percent(record.metrics[f"{name}/{metric}"]) for metric in ("acc", "acc_norm"))
            few = " (first look)" if name in record.first_looks else ""
            what = model, _questions(record.config, name) + few, " ".join(own)
            shown.add_row(str(number), *what, accuracy, interval(record.metrics, f"{name}/acc"), normalised)
            rows.append(_summary_row(record, model, name, own))
    path = run_folder.outputs_of(records[0].folder, records[0].config.outputs) / "summaries"
    run_folder.make(path, exist_ok=True)
    write_csv(path / f"{records[0].folder.name}.csv", rows)
    folders = [f"  {number}  {run_folder.shown(record.folder)}" for number, record in enumerate(records, 1)]
    as_csv = f"As CSV: {run_folder.shown(path / f'{records[0].folder.name}.csv')}"
    records[-1].say("", shown, "Run folders:", *folders, as_csv)


def _summary_row(record: Record, model: str, name: str, differs: Sequence[str]) -> dict[str, Any]:
    questions = _set(record.config, name)
    columns = ("n", "acc", "acc_ci_low", "acc_ci_high", "acc_norm", "acc_norm_ci_low", "acc_norm_ci_high")
    return {
        "model": model,
        "questions": questions.name,
        "split": questions.split,
        "first_look": name in record.first_looks,
        **{column: record.metrics[f"{name}/{column}"] for column in columns},
        "differs_by": " ".join(differs),
        "model_path": record.config.model.path or "",
        "data_path": questions.data.path or "",
        "folder": str(record.folder),
    }


SHOWN_BY_NAME = ("model", "model.path", "data", "data.path", "run")
"""Keys that the table of several evaluations has columns for."""


def _differing(records: Sequence[Record]) -> list[list[str]]:
    """The overrides of each run that the runs do not share, besides those that the columns of the table show, and
    without the backslashes that lists of values get."""
    stored = [read_yaml(record.folder / "overrides.yaml") for record in records]
    overrides = [[re.sub(r"\\(.)", r"\1", override) for override in own] for own in stored]
    shared = set(overrides[0]).intersection(*overrides)
    return [
        [override for override in own if override not in shared and override.partition("=")[0] not in SHOWN_BY_NAME]
        for own in overrides
    ]


def _model(config: Config) -> str:
    run: str | None = getattr(config, "run", None)
    if run:
        return run
    if config.model.name != "local" or config.model.path is None:
        return config.model.name
    folder = Path(config.model.path).expanduser()
    return str(folder.parent) if folder.name == "model" else config.model.path


def _short_names(names: Sequence[str]) -> list[str]:
    """Each name without the folders before it, save as many as keep different ones apart; hub ids are left as they are.

    The folder `model` of a run has been replaced by that of the run.
    """
    folders = {name for name in names if Path(name).expanduser().is_dir()}

    def cut(name: str, parts: int) -> str:
        return "/".join(Path(name).parts[-parts:]) if name in folders else name

    parts = 1
    while len({cut(name, parts) for name in names}) < len(set(names)):
        parts += 1
    return [cut(name, parts) for name in names]


def _questions(config: Config, name: str) -> str:
    questions = _set(config, name)
    return f"{questions.name} {questions.split}" if name in SPLITS else name


def _set(config: Config, name: str) -> SetConfig:
    """The question set that a split, or a further set, of a run belongs to."""
    further = {further.name: further for further in config.further_sets}
    if config.evaluation.dev is not None:
        further["dev"] = config.evaluation.dev
    return further.get(name) or SetConfig(config.data.name, cast(Split, name), config.data)


def report_training(measurements: Measurements, examples: int, history: Sequence[Mapping[str, float]]) -> None:
    """Show the tables and the verdict at the end of training; write model card, wrong answers and charts."""
    record = measurements.record
    if measurements.losses:
        rows = _losses_before_and_after(measurements)
        record.say("", losses_table(record.metrics, rows), *preferred(record.metrics, rows))
    judged = ["test"] if "test" in measurements.predictions else _measured_sets(record)
    on_test = " on test" if judged == ["test"] else ""
    if judged:
        rows, title = _before_and_after(record), f"Accuracy{on_test}"
        record.say("", accuracy_table(record.metrics, rows, title, record.first_looks))
    for name in judged:
        _report_gain(measurements, name, int(history[-1]["step"]), alone=judged == ["test"])
    _report_stages(measurements)
    _describe(measurements, judged)
    if len(judged) > 1 and measures_base(record.config, record.trial):
        record.say("Each set is tested by itself; p-values are not adjusted for their number.")
    if judged:
        record.say("", calibration_table(record.metrics, _before_and_after(record), f"Calibration{on_test}"))
    if record.measurements_left_out:
        left_out = record.measurements_left_out
        record.say(f"Measurements of dev left out during training: {left_out} (evaluation.max_time_share).")
    record.say("")
    _write_model_card(measurements, examples)
    record.keep(record.folder / "model")
    for name in judged:
        _keep_rows(measurements, name)
    for name in judged or ["test"]:
        optional("Drawing the charts", partial(_draw, measurements, name, trained=True))
    _keep_charts(record)
    optional(f"Writing {run_page.FILE}", partial(run_page.write, record))
    record.say(f"Model: {run_folder.shown(record.folder / 'model')}", *_where_tracked(record))


def _report_gain(measurements: Measurements, name: str, step: int, alone: bool) -> None:
    """Record what training changed on a set, and say whether it is significant. alone: the set is test."""
    record, after = measurements.record, measurements.predictions[name]
    label, chance = (
        ("" if alone else f"{name}: ") + of_stage(record.folder),
        chance_accuracy([row.question for row in after]),
    )
    if (before := measurements.predictions.get(f"base/{name}")) is None:
        record.say(f"{label}{BASE_NOT_MEASURED} Guessing gives {percent(chance)}.", *details(record.metrics, name))
        return
    names = cluster_names([row.question for row in after], record.config.evaluation.cluster)
    paired = mcnemar([row.correct for row in before], [row.correct for row in after], names)
    record.metrics |= gain_metrics(paired, name)
    record.log(gain_metrics(paired, name), step=step)
    measurements.verdicts[name] = verdict(paired, chance, begun_from(record.config.model.run))
    record.say(f"{label}{measurements.verdicts[name]}")
    config, folder = record.config, run_folder.shown(run_folder.chain_of(record.folder) or record.folder)
    command = more_seeds(folder, config.seed, order_is_fixed=config.order_seed is not None)
    seeds = about_seeds(paired, command) if alone else ""
    record.say(*filter(None, [what_a_test_finds(paired), seeds, *details(record.metrics, name)]))


def of_stage(folder: Path) -> str:
    """Return how a sentence begins on what a stage has changed; nothing for a first one, or a single training."""
    before = chain.stage_before(folder)
    names, number = chain.place(folder) or ([], 0)
    return "" if before is None else f"{names[number]} after {before.name}: "


def _report_stages(measurements: Measurements) -> None:
    """Show what each stage has reached, and record and say what all of them have changed together."""
    record = measurements.record
    found = stages.rows(record.folder, record.metrics, record.result_so_far())
    if not found:
        return
    record.say("", stages.table(found))
    after = measurements.predictions.get("test", [])
    if after and (paired := stages.all_together(record.folder, after, record.config.evaluation.cluster)) is not None:
        record.metrics |= gain_metrics(paired, "stages/test")
        measurements.verdicts["all stages"] = stages.sentence(record.folder, paired, after)
        record.say(measurements.verdicts["all stages"])


def _describe(measurements: Measurements, names: Sequence[str]) -> None:
    """Give the tracker the run's verdict as its description, and its accuracies as they are shown in a list of runs."""
    record, several = measurements.record, len(names) > 1
    verdicts = [
        f"{name}: {text}" if several and name != "all stages" else text for name, text in measurements.verdicts.items()
    ]
    notes = [first_look(record.first_looks)] if record.first_looks else []
    if not record.config.objective.trains:
        notes.append(UNTRAINED)
    if not measures_base(record.config, record.trial):
        notes.append(BASE_NOT_MEASURED)
    record.tracker.tags({"mlflow.note.content": "\n\n".join([*verdicts, *notes])} if verdicts or notes else {})
    measured = {name: f"{name}/acc" for name in ("dev", *names) if f"{name}/acc" in record.metrics}
    accuracies = {f"{name} accuracy": percent(record.metrics[key]) for name, key in measured.items()}
    intervals = {f"{name} interval": interval(record.metrics, key) for name, key in measured.items()}
    record.tracker.tags(accuracies | intervals)  # two, since MLflow's columns are narrow


def gain_metrics(paired: PairedDifference, name: str = "test") -> dict[str, float]:
    """Return the metrics of the difference on a set. acc_gain_p is the p-value of the verdict, which accounts for
    clusters."""
    return {
        f"{name}/acc_gain": paired.difference,
        f"{name}/acc_gain_ci_low": paired.low,
        f"{name}/acc_gain_ci_high": paired.high,
        f"{name}/acc_gain_p": paired.p_decisive,
        f"{name}/mcnemar_p": paired.p,
        f"{name}/acc_gain_minimum_detectable": paired.minimum_detectable_difference,
    }


def _before_and_after(record: Record) -> dict[str, str]:
    """Test and the further sets: the prefix of each in the metrics, and what to call it."""
    its = chain.stage_before(record.folder)
    base = "base" if its is None else f"after {its.name}"
    rows = {"base/test": base, "test": "fine-tuned"} if "test/acc" in record.metrics else {}
    for name in _measured_sets(record):
        rows |= {f"base/{name}": f"{base} on {name}", name: f"fine-tuned on {name}"}
    return {name: label for name, label in rows.items() if f"{name}/acc" in record.metrics}


def _measured_sets(record: Record) -> list[str]:
    """The further sets that have questions."""
    return [one.name for one in record.config.further_sets if f"{one.name}/acc" in record.metrics]


def _losses_before_and_after(measurements: Measurements) -> dict[str, str]:
    """The prefix in the metrics of the conversations of each split, and what to call it."""
    names = [name for name in measurements.losses if not name.startswith("base/")]
    metrics, rows = measurements.record.metrics, dict[str, str]()
    for name in names:
        prefix = f"{name}/{BESIDE_QUESTIONS}" if f"{name}/{BESIDE_QUESTIONS}/loss" in metrics else name
        rows |= {f"base/{prefix}": f"base on {name}", prefix: f"fine-tuned on {name}"}
    return {prefix: label for prefix, label in rows.items() if f"{prefix}/loss" in metrics}


def _write_model_card(measurements: Measurements, examples: int) -> None:
    """Write README.md beside the weights: the hub's metadata, origin, accuracy and configuration."""
    record = measurements.record
    config = record.config
    base, its = config.model.path or f"random weights ({config.model.name})", chain.stage_before(record.folder)
    base = base if its is None else f"{config.model.name} after the stage {its.name}"
    header: dict[str, Any] = {"library_name": "peft" if config.peft.trainable == "adapter" else "transformers"}
    if config.model.path and not config.model.path.startswith("embedded:") and its is None:
        header["base_model"] = config.model.path
    header["tags"] = ["mcqa", "multiple-choice", config.peft.name]
    trained = "all weights" if config.peft.trainable == "full" else config.peft.name
    text = f"""---
{yaml.safe_dump(header, sort_keys=False).strip()}
---

# {config.name}

{base} after {config.objective.name} ({trained}) on {examples} training examples of {config.data.name}{_asked(config)}.

{_card_scores(measurements)}
{_how_chosen(record)}

{_calibration(record)}

- Base: {base} (licence: {config.model.licence})
{_card_sources(config)}

## Configuration

```yaml
{yaml.safe_dump(without_secrets(shortened(record.config_dict)), sort_keys=False, allow_unicode=True).strip()}
```
"""
    (record.folder / "model" / "README.md").write_text(redact(_with_usage(record, text)), "utf-8")


def _with_usage(record: Record, card: str) -> str:
    """Return the card with code that loads the model; what no other library can load is to be exported first."""
    config, folder = record.config, record.folder / "model"
    if config.peft.trainable == "full":
        return with_usage(card, "transformers", str(folder), config)
    if not str(config.model.path).startswith(EMBEDDED) and chain.stage_before(record.folder) is None:
        return with_usage(card, "peft", str(folder), config)
    return with_export(card, f"python -m mcqa.export {run_folder.shown(record.folder)}")


def _asked(config: Config) -> str:
    return f", prompted in\n{config.prompt.style} style" if config.data.has_questions else ""


def _card_sources(config: Config) -> str:
    """A line for the training data, or for each set of a mix."""
    noun = "Questions" if config.data.has_questions else "Conversations"
    sources = [one.data for one in config.data.sets] or [config.data]
    return "\n".join(f"- {noun}: {data.name}; {data.source} (licence: {data.licence})" for data in sources)


def _card_scores(measurements: Measurements) -> str:
    """Accuracy and the loss of conversations as tables in Markdown, where they were measured."""
    metrics, parts = measurements.record.metrics, list[str]()
    rows = dict(CARD_ROWS)
    for name in _measured_sets(measurements.record):
        rows |= {f"base/{name}": f"{name}, before", name: f"{name}, after"}
    scores = [
        f"| {name} | {percent(metrics[f'{split}/acc'])} | {interval(metrics, f'{split}/acc')} "
        f"| {metrics[f'{split}/n']:.0f} |"
        for split, name in rows.items()
        if f"{split}/acc" in metrics
    ]
    if scores:
        kind = _kind_of_interval(measurements)
        parts += ["| | accuracy | 95 % interval | questions |", "|---|---|---|---|", *scores, ""]
        parts += [f"Accuracy by log-likelihood: the choice whose continuation is most probable ({kind})."]
    if losses := _losses_before_and_after(measurements):
        parts += ["", *(f"| {' | '.join(row)} |" for row in [LOSS_COLUMNS, ["---"] * len(LOSS_COLUMNS)])]
        parts += [f"| {' | '.join(row)} |" for row in loss_rows(metrics, losses)]
        parts += ["", f"{LOSS_CAPTION}."]
    return "\n".join(parts).strip()


def _calibration(record: Record) -> str:
    """The expected calibration error as a table in Markdown; nothing where no question was measured."""
    if not _before_and_after(record):
        return ""
    on_test = " on test" if "test/acc" in record.metrics else ""
    rows = [list(CALIBRATION_COLUMNS), ["---"] * len(CALIBRATION_COLUMNS)]
    rows += calibration_rows(record.metrics, _before_and_after(record))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"Calibration{on_test} ({CALIBRATION_CAPTION}):\n\n{table}"


def _how_chosen(record: Record) -> str:
    left_out = ""
    if record.measurements_left_out:
        left_out = f" ({count(record.measurements_left_out, 'measurement')} left out by evaluation.max_time_share)"
    metric = "accuracy" if "dev/acc" in record.metrics else "loss"
    biased = "accuracy is too high on average, which its interval leaves out"
    biased = biased if metric == "accuracy" else "loss is too low on average"
    dev = f"dev chose the checkpoint{left_out}, so its {biased}."
    text = f"{dev}\n\n{looks.card_line(looks.read(record.folder, record.config.data.name))}"
    text = f"{text}\n\n**{first_look(record.first_looks)}**" if record.first_looks else text
    if not measures_base(record.config, record.trial):
        text = f"{text}\n\n**{BASE_NOT_MEASURED}**"
    return "\n\n".join([text, *(f"**{warning}**" for warning in record.warnings)])


def _kind_of_interval(measurements: Measurements) -> str:
    cluster = measurements.record.config.evaluation.cluster
    questions = [[row.question for row in rows] for rows in measurements.predictions.values()]
    if all(cluster_names(split, cluster) is None for split in questions):
        return "interval: Wilson's"
    return "interval: Wilson's at the effective number of questions, which accounts for clusters of related ones"


def write_harness_files(
    measurements: Measurements, names: Sequence[str], model: Any, tokenizer: Any, shots: Shots
) -> None:
    """Write the files of lm-evaluation-harness, where evaluation.harness_task asks for them."""
    record = measurements.record
    if not record.config.evaluation.harness_task:
        return
    from mcqa.evaluation import lm_eval_files

    model_name = record.config.model.path or record.config.model.name
    tasks = {}
    for name, task in harness_tasks(record.config, names).items():
        about = lm_eval_files.Measurement(
            model_name,
            model,
            tokenizer,
            record.config,
            _set(record.config, name),
            shots.of(name),
            record.environment,
            record.began,
            record.first_looks.get(name),
        )
        tasks[task] = measurements.predictions[name], about
    lm_eval_files.write(record.folder / "harness", tasks)
    record.keep(record.folder / "harness")


def harness_tasks(config: Config, names: Sequence[str]) -> dict[str, str]:
    """Return what each split and further set is called as a task of lm-evaluation-harness.

    With evaluation.harness_task=true by data.harness_task, or else the set's own name; splits other than test say so.
    With a name by this name, to which those of the sets are added where there are several.
    """
    task = config.evaluation.harness_task
    if isinstance(task, str):
        return {name: task if len(names) == 1 else f"{task}_{name}" for name in names}
    tasks: dict[str, str] = {}
    for name in names:
        questions = _set(config, name)
        called = questions.data.harness_task or (questions.data.name if name in SPLITS else name)
        called = called if questions.split == "test" else f"{called}_{questions.split}"
        tasks[name] = f"{called}_{name}" if called in tasks.values() else called
    return tasks


def _keep_rows(measurements: Measurements, name: str) -> None:
    """The questions answered wrong, and accuracy by subject where there are subjects."""
    record, predictions = measurements.record, measurements.predictions[name]
    path = record.folder / f"wrong_{name}.json"
    write_json(path, wrong_answers(predictions))
    record.tracker.table(path)
    if rows := subjects(predictions, record.config.evaluation.cluster):
        path = record.folder / f"subjects_{name}.csv"
        write_csv(path, rows)
        record.keep(path)


def _draw(measurements: Measurements, name: str, trained: bool = False) -> None:
    """trained: by this run; then the curves of its training are drawn too."""
    run, metrics = measurements.record.folder, measurements.record.metrics
    rows, base = (measurements.predictions.get(key, []) for key in (name, f"base/{name}"))
    base = base if measurements.record.config.objective.trains else []
    cluster, folder = measurements.record.config.evaluation.cluster, run / "pictures"
    if rows:
        charts.save_evaluation_charts(folder, name, rows, cluster, metrics.get(f"{name}/temperature"), base)
    if trained:
        chance = chance_accuracy([row.question for row in rows]) if rows else None
        charts.save_training_charts(folder, curves_of(run, metrics, chance), base, rows, cluster)


def _keep_charts(record: Record) -> None:
    if (folder := record.folder / "pictures").is_dir():
        record.keep(folder)


def _where_tracked(record: Record) -> list[str]:
    """Return where the run is to be seen: how the tracker's pages are opened, and their addresses."""
    tracking, outputs = record.config.tracking, run_folder.outputs_of(record.folder, record.config.outputs)
    if tracking.name == "none":
        return ["tracking=none, nothing was sent"]
    if tracking.name != "mlflow":
        return [f"See it in {tracking.name}: {page}" for page in record.tracker.pages]
    uri = f"sqlite:///{run_folder.shown(outputs)}/mlflow.db"
    start = [] if tracking.uri else [f"See it in MLflow: make ui (mlflow ui --backend-store-uri {uri})"]
    pages = zip(("This run:", "All runs:"), record.tracker.pages, strict=False)
    return [
        *(start or [f"See it in MLflow: {redact(str(tracking.uri))}"]),
        *(f"  {what} {page}" for what, page in pages),
    ]
