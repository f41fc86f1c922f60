"""What a run says at its end: the table in the terminal, the questions it got wrong, the model card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from mcqa import pictures, run_folder
from mcqa.config import Config
from mcqa.data.loading import Data
from mcqa.encoding import TrainingSet
from mcqa.evaluation.metrics import chance
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import Paired, mcnemar
from mcqa.recording import Record, optional

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
        record.say(
            f"  {len(training.too_long)} training examples are too long and are left out; left_out.json lists them"
        )


def base(record: Record, model: Any) -> None:
    record.say(
        f"Base: {record.config.model.name}, {model.num_parameters() / 1e6:.1f} million parameters; "
        f"dev/acc {record.metrics['base/dev/acc']:.3f}"
    )


def measured(record: Record, splits: Sequence[str]) -> None:
    """The table of an evaluation, and the questions answered wrong."""
    record.say("", table(record.metrics, {split: split for split in splits}, "Accuracy"))
    for split in splits:
        guessing = chance([row.question for row in record.measured[split]])
        record.say(f"Guessing on {split} gives {percent(guessing)}.")
        _keep_wrong(record, split)


def write(record: Record, tree: Mapping[str, Any], examples: int, history: Sequence[Mapping[str, float]]) -> None:
    """At the end: the table and the verdict, the model card, the wrong answers and the pictures."""
    before, after = record.measured["base/test"], record.measured["test"]
    paired = mcnemar([row.correct for row in before], [row.correct for row in after])
    record.metrics |= {"test/acc_gain": paired.difference, "test/mcnemar_p": paired.p}
    record.log({"test/acc_gain": paired.difference, "test/mcnemar_p": paired.p}, step=int(history[-1]["step"]))
    record.say("", table(record.metrics, {"base/test": "base", "test": "fine-tuned"}, "Accuracy on test"))
    record.say(verdict(paired, chance([row.question for row in after])), "")
    write_model_card(record.folder / "model", record.config, tree, record.metrics, examples)
    record.keep(record.folder / "model")
    _keep_wrong(record, "test")
    optional("Drawing the pictures", lambda: _draw(record, history))
    record.say(f"Model: {run_folder.shown(record.folder / 'model')}", f"See it in MLflow: {_mlflow(record.config)}")


def _keep_wrong(record: Record, split: str) -> None:
    path = record.folder / f"wrong_{split}.json"
    run_folder.write_json(path, wrong_table(record.measured[split]))
    record.tracker.table(path)


def _draw(record: Record, history: Sequence[Mapping[str, float]]) -> None:
    folder = record.folder / "pictures"
    pictures.curves(folder, history, record.metrics)
    pictures.subjects(folder, record.measured["base/test"], record.measured["test"])
    record.keep(folder)


def _mlflow(config: Config) -> str:
    if config.tracking.name == "none":
        return "tracking=none, nothing was sent"
    return config.tracking.uri or f"make ui (mlflow ui --backend-store-uri sqlite:///{config.outputs}/mlflow.db)"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(metrics: Mapping[str, float], split: str) -> str:
    return f"{100 * metrics[f'{split}/acc_ci_low']:.1f} – {percent(metrics[f'{split}/acc_ci_high'])}"


def table(metrics: Mapping[str, float], rows: Mapping[str, str], title: str) -> Table:
    """One line per split in `rows` (its prefix in the metrics, and what to call it)."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("", "accuracy", "95 % interval", "acc_norm", "questions"):
        shown.add_column(heading, justify="left" if not heading else "right")
    for split, name in rows.items():
        shown.add_row(
            name,
            percent(metrics[f"{split}/acc"]),
            interval(metrics, split),
            percent(metrics[f"{split}/acc_norm"]),
            f"{metrics[f'{split}/n']:.0f}",
        )
    return shown


def verdict(paired: Paired, chance: float) -> str:
    """The paired difference in a sentence that says whether it is noise."""
    p = "p < 0.0001" if paired.p < 1e-4 else f"p = {paired.p:.4f}"
    reading = "more than noise" if paired.p < 0.05 else "not told apart from noise"
    return (
        f"{100 * paired.difference:+.1f} points on the same questions: {paired.newly_right} newly right, "
        f"{paired.newly_wrong} newly wrong; exact McNemar test {p}, {reading}. Guessing gives {percent(chance)}."
    )


def wrong_table(rows: Sequence[Prediction]) -> dict[str, Any]:
    """The questions that were answered wrong, the surest mistakes first, as MLflow shows a table."""
    wrong = sorted((row for row in rows if not row.correct), key=_margin, reverse=True)
    columns = ["id", "subject", "question", "right", "answered", "margin", "scores"]
    return {"columns": columns, "data": [_wrong_row(row) for row in wrong]}


def _margin(row: Prediction) -> float:
    """By how many nats the chosen answer beat the right one."""
    return max(row.scores) - row.scores[row.question.answer]


def _wrong_row(row: Prediction) -> list[Any]:
    question = row.question
    scores = "; ".join(f"{text}: {score:.2f}" for text, score in zip(question.choices, row.scores, strict=True))
    right = question.choices[question.answer]
    answered = "" if row.prediction is None else question.choices[row.prediction]
    return [question.id, question.subject, question.question, right, answered, round(_margin(row), 3), scores]


def write_model_card(
    folder: Path, config: Config, tree: Mapping[str, Any], metrics: Mapping[str, float], n: int
) -> None:
    """README.md beside the weights, with the hub's metadata in front: what it is, from what, and how good."""
    base = config.model.path or f"random weights ({config.model.name})"
    header: dict[str, Any] = {"library_name": "peft" if config.peft.trains == "adapter" else "transformers"}
    if config.model.path and not config.model.path.startswith("embedded:"):
        header["base_model"] = config.model.path
    header["tags"] = ["mcqa", "multiple-choice", config.peft.name]
    scores = "\n".join(
        f"| {name} | {percent(metrics[f'{split}/acc'])} | {interval(metrics, split)} | {metrics[f'{split}/n']:.0f} |"
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

Accuracy by log-likelihood: the choice whose continuation is most probable (interval: Wilson). dev chose the checkpoint;
test was measured once.

- Base: {base} (licence: {config.model.licence})
- Questions: {config.data.name}; {config.data.source} (licence: {config.data.licence})

## Configuration

```yaml
{yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True).strip()}
```
"""
    (folder / "README.md").write_text(text, "utf-8")
