"""The model card: README.md beside the saved weights."""

from typing import Any

import yaml

from mcqa.evaluation.metrics import cluster_names
from mcqa.evaluation.record import Measurements
from mcqa.evaluation.report.formatting import percent
from mcqa.evaluation.report.tables import interval


def write_model_card(measurements: Measurements, examples: int) -> None:
    """Write README.md beside the weights: the hub's metadata, origin, accuracy and configuration."""
    record = measurements.record
    config, metrics = record.config, record.metrics
    base = config.model.path or f"random weights ({config.model.name})"
    header: dict[str, Any] = {"library_name": "peft" if config.peft.trainable == "adapter" else "transformers"}
    if config.model.path and not config.model.path.startswith("embedded:"):
        header["base_model"] = config.model.path
    header["tags"] = ["mcqa", "multiple-choice", config.peft.name]
    scores = "\n".join(
        f"| {name} | {percent(metrics[f'{split}/acc'])} | {interval(metrics, f'{split}/acc')} "
        f"| {metrics[f'{split}/n']:.0f} |"
        for split, name in (("base/test", "test, before"), ("test", "test, after"), ("dev", "dev, after"))
        if f"{split}/acc" in metrics
    )
    trained = "all weights" if config.peft.trainable == "full" else config.peft.name
    text = f"""---
{yaml.safe_dump(header, sort_keys=False).strip()}
---

# {config.name}

{base} after {config.objective.name} ({trained}) on {examples} training examples of {config.data.name}, prompted in
{config.prompt.style} style.

| | accuracy | 95 % interval | questions |
|---|---|---|---|
{scores}

Accuracy by log-likelihood: the choice whose continuation is most probable ({_kind_of_interval(measurements)}).
dev chose the checkpoint; test was measured once.

- Base: {base} (licence: {config.model.licence})
- Questions: {config.data.name}; {config.data.source} (licence: {config.data.licence})

## Configuration

```yaml
{yaml.safe_dump(record.config_dict, sort_keys=False, allow_unicode=True).strip()}
```
"""
    (record.folder / "model" / "README.md").write_text(text, "utf-8")


def _kind_of_interval(measurements: Measurements) -> str:
    cluster = measurements.record.config.evaluation.cluster
    questions = [[row.question for row in measurements.predictions[name]] for name in ("test", "dev")]
    if all(cluster_names(split, cluster) is None for split in questions):
        return "interval: Wilson's"
    return "interval: Wilson's at the effective number of questions, which accounts for clusters of related ones"
