"""What a run says at its end: the table in the terminal, the questions it got wrong, the model card."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from rich.markup import escape
from rich.table import Table

from mcqa import pictures, run_folder
from mcqa.config import Config, SetConfig, Split
from mcqa.data.loading import Data
from mcqa.encoding import TrainingSet
from mcqa.evaluation.metrics import chance, clusters
from mcqa.evaluation.statistics import Paired, mcnemar
from mcqa.findings import details, interval, percent, subjects, table, verdict, wrong
from mcqa.prompting import Shots
from mcqa.recording import Record, optional
from mcqa.rules import SPLITS

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


def measured(record: Record, names: Sequence[str]) -> None:
    """The table of an evaluation, what else was found, and the questions answered wrong."""
    record.say("", table(record.metrics, {name: name for name in names}, "Accuracy"))
    for name in names:
        rows = record.measured[name]
        guessing = f"Guessing gives {percent(chance([row.question for row in rows]))}."
        record.say(f"{name}:", *(f"  {line}" for line in [guessing, *details(record.metrics, name)]))
        _keep_rows(record, name)
        optional("Drawing the pictures", partial(_draw_answers, record, name))
    _keep_pictures(record)


def summary(records: Sequence[Record]) -> None:
    """One table over several evaluations: what each measured with what, and how well; below it their folders, uncut."""
    shown = Table(title="All of them", title_justify="left", title_style="bold")
    shown.add_column("run", justify="right", no_wrap=True)
    for heading in ("model", "questions", "differs by"):
        shown.add_column(heading, overflow="fold")
    for heading in ("accuracy", "95 % interval"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for number, (record, own) in enumerate(zip(records, _differing(records), strict=True), 1):
        for name in record.measured:
            cells = percent(record.metrics[f"{name}/acc"]), interval(record.metrics, f"{name}/acc")
            what = _model(record.config), _questions(record.config, name), " ".join(own)
            shown.add_row(str(number), *map(escape, what), *cells)
    folders = [f"  {number}  {run_folder.shown(record.folder)}" for number, record in enumerate(records, 1)]
    records[-1].say("", shown, "Run folders:", *folders)


def _differing(records: Sequence[Record]) -> list[list[str]]:
    """The overrides of each run that not all of them have, without the backslashes that lists of values get."""
    stored = [run_folder.read_yaml(record.folder / "overrides.yaml") for record in records]
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


def write(record: Record, tree: Mapping[str, Any], examples: int, history: Sequence[Mapping[str, float]]) -> None:
    """At the end: the table and the verdict, the model card, the wrong answers and the pictures."""
    before, after = record.measured["base/test"], record.measured["test"]
    names = clusters([row.question for row in after], record.config.evaluation.cluster)
    paired = mcnemar([row.correct for row in before], [row.correct for row in after], names)
    record.metrics |= gain(paired)
    record.log(gain(paired), step=int(history[-1]["step"]))
    record.say("", table(record.metrics, _before_and_after(record), "Accuracy on test"))
    record.say(verdict(paired, chance([row.question for row in after])))
    record.say(*details(record.metrics, "test"), "")
    write_model_card(record, tree, examples)
    record.keep(record.folder / "model")
    _keep_rows(record, "test")
    optional("Drawing the pictures", lambda: _draw(record, history))
    record.say(f"Model: {run_folder.shown(record.folder / 'model')}", f"See it in MLflow: {_mlflow(record.config)}")


def gain(paired: Paired) -> dict[str, float]:
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


def harness(record: Record, names: Sequence[str], model: Any, tokenizer: Any, shots: Shots) -> None:
    """The files of lm-evaluation-harness, where evaluation.harness_task asks for them."""
    task = record.config.evaluation.harness_task
    if task is None:
        return
    from mcqa.evaluation.harness import Measurement
    from mcqa.evaluation.harness import write as write_files

    what = record.config.model.path or record.config.model.name
    for name in names:
        of = _set(record.config, name)
        about = Measurement(what, model, tokenizer, record.config, of, shots, record.environment, record.began)
        write_files(
            record.folder / "harness", task if len(names) == 1 else f"{task}_{name}", record.measured[name], about
        )
    record.keep(record.folder / "harness")


def _keep_rows(record: Record, name: str) -> None:
    """The questions answered wrong, and accuracy by subject where there are subjects."""
    path = record.folder / f"wrong_{name}.json"
    run_folder.write_json(path, wrong(record.measured[name]))
    record.tracker.table(path)
    if rows := subjects(record.measured[name], record.config.evaluation.cluster):
        path = record.folder / f"subjects_{name}.csv"
        run_folder.write_csv(path, rows)
        record.keep(path)


def _draw(record: Record, history: Sequence[Mapping[str, float]]) -> None:
    folder = record.folder / "pictures"
    pictures.curves(folder, history, record.metrics)
    pictures.subjects(folder, record.measured["base/test"], record.measured["test"])
    _draw_answers(record, "test")
    both = {"base": record.measured["base/test"], "fine-tuned": record.measured["test"]}
    pictures.risk_coverage(folder, "test", both)
    _keep_pictures(record)


def _draw_answers(record: Record, name: str) -> None:
    """How sure the answers are, and what depends on the order of the options or needs no question."""
    folder, rows = record.folder / "pictures", record.measured[name]
    pictures.reliability(folder, name, rows, record.metrics.get(f"{name}/temperature"))
    pictures.risk_coverage(folder, name, {name: rows})
    pictures.choices_only(folder, name, rows)
    if any(row.orders for row in rows):
        pictures.letters(folder, name, rows)
        pictures.orders(folder, name, rows)


def _keep_pictures(record: Record) -> None:
    if (folder := record.folder / "pictures").is_dir():
        record.keep(folder)


def _mlflow(config: Config) -> str:
    if config.tracking.name == "none":
        return "tracking=none, nothing was sent"
    return config.tracking.uri or f"make ui (mlflow ui --backend-store-uri sqlite:///{config.outputs}/mlflow.db)"


def write_model_card(record: Record, tree: Mapping[str, Any], n: int) -> None:
    """README.md beside the weights, with the hub's metadata in front: what it is, from what, and how good."""
    config, metrics = record.config, record.metrics
    base = config.model.path or f"random weights ({config.model.name})"
    header: dict[str, Any] = {"library_name": "peft" if config.peft.trains == "adapter" else "transformers"}
    if config.model.path and not config.model.path.startswith("embedded:"):
        header["base_model"] = config.model.path
    header["tags"] = ["mcqa", "multiple-choice", config.peft.name]
    scores = "\n".join(
        f"| {name} | {percent(metrics[f'{split}/acc'])} | {interval(metrics, f'{split}/acc')} "
        f"| {metrics[f'{split}/n']:.0f} |"
        for split, name in (("base/test", "test, before"), ("test", "test, after"), ("dev", "dev, after"))
        if f"{split}/acc" in metrics
    )
    moved = "all weights" if config.peft.trains == "full" else config.peft.name
    text = f"""---
{yaml.safe_dump(header, sort_keys=False).strip()}
---

# {config.name}

{base} after {config.objective.name} ({moved}) on {n} training examples of {config.data.name}, prompted in
{config.prompt.style} style.

| | accuracy | 95 % interval | questions |
|---|---|---|---|
{scores}

Accuracy by log-likelihood: the choice whose continuation is most probable ({_kind_of_interval(record)}).
dev chose the checkpoint; test was measured once.

- Base: {base} (licence: {config.model.licence})
- Questions: {config.data.name}; {config.data.source} (licence: {config.data.licence})

## Configuration

```yaml
{yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True).strip()}
```
"""
    (record.folder / "model" / "README.md").write_text(text, "utf-8")


def _kind_of_interval(record: Record) -> str:
    cluster = record.config.evaluation.cluster
    questions = [[row.question for row in record.measured[name]] for name in ("test", "dev")]
    if all(clusters(of, cluster) is None for of in questions):
        return "interval: Wilson's"
    return "interval: Wilson's at the effective number of questions, for some go together"
