"""A history is read from what a run folder has, whole or not."""

import json

import pytest

from mcqa.evaluation.doctor import updates
from mcqa.evaluation.doctor.history import Accuracy
from mcqa.evaluation.doctor.stored import findings_of, history_of
from mcqa.evaluation.doctor.updates import Update
from mcqa.runs.files import write_json, write_yaml

CONFIG = {
    "name": "made",
    "model": {"learning_rate": {"full": 3e-4, "adapter": 2e-3}},
    "peft": {"trainable": "adapter"},
    "optimizer": {"name": "adamw", "learning_rate": 0.2, "batch_size": 10, "max_grad_norm": 0.0},
    "objective": {"name": "sft", "epochs": 2, "max_steps": None},
    "scheduler": {"name": "cosine"},
    "prompt": {"style": "published"},
    "data": {"prompt": {"style": "letters"}},
    "hardware": {"precision": "bf16"},
}


@pytest.fixture
def folder(tmp_path):
    write_yaml(tmp_path / "config.yaml", CONFIG)
    return tmp_path


def write_events(folder, *events):
    lines = [json.dumps({"ms": 1, **event}) for event in events]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")


def logged(step, of="training", **values):
    return {"event": "metrics", "step": step, "of": of, "values": values}


def test_the_setup_is_that_of_the_configuration(folder):
    texts = dict.fromkeys(("name", "digest", "source"), "")
    write_events(folder, {"event": "dataset", "split": "train", "questions": 95, **texts})
    setup = history_of(folder).setup
    assert (setup.learning_rate, setup.recommended, setup.factor) == (0.2, 2e-3, pytest.approx(100))
    assert (setup.updates_per_epoch, setup.planned, setup.max_grad_norm) == (10, 20, None)
    assert setup.letters


def test_what_training_changed_on_further_sets_is_read_where_it_was_compared(folder):
    write_yaml(folder / "config.yaml", CONFIG | {"evaluation": {"sets": [{"name": "facts"}, {"name": "unmeasured"}]}})
    gains = {f"{name}/acc_gain{end}": -0.2 for name in ("facts", "test") for end in ("", "_ci_low", "_ci_high")}
    write_json(folder / "result.json", {"status": "complete", "metrics": gains})
    assert history_of(folder).elsewhere == {"facts": Accuracy(-0.2, -0.2, -0.2)}


def test_curves_dev_and_base_are_read_from_the_events_of_a_run_that_goes_on(folder):
    dev = {"dev/acc": 0.5, "dev/acc_ci_low": 0.4, "dev/acc_ci_high": 0.6, "dev/loss": 1.0}
    base = {f"base/{name}": value for name, value in dev.items()}
    write_events(
        folder,
        logged(0, "base/dev", **base),
        logged(1, **{"train/loss": 2.0, "grad_norm": 1.0, "learning_rate": 0.0, "grad_norm/adapter_a": 0.0}),
        logged(10, **{"train/loss": 1.5, "grad_norm": 1.0, "learning_rate": 0.1}),
        logged(10, **dev),
        logged(20, **{"train/loss": 1.2, "grad_norm": 1.0, "learning_rate": 0.1}),
        logged(20, "dev", **dev),
    )
    history = history_of(folder)
    assert (history.every, history.last, history.ended) == (10, 20, False)
    assert [one.update for one in history.dev] == [10]
    assert history.base is not None
    assert history.base.low == 0.4
    assert history.group_zero == ["adapter_a"]


def test_every_update_comes_before_the_means_of_the_curve(folder):
    write_events(folder, logged(10, **{"train/loss": 1.5}))
    updates.append(folder / updates.FILE, [Update(at, 1.0, 1.0, 0.1) for at in range(1, 11)])
    history = history_of(folder)
    assert (history.every, len(history.updates)) == (1, 10)


def test_what_is_damaged_is_absent(folder):
    (folder / "events.jsonl").write_text("no event\n{}\n[1]\n")
    (folder / "result.json").write_text("{")
    (folder / "predictions").mkdir()
    (folder / "predictions" / "dev.jsonl").write_text("{")
    (folder / updates.FILE).write_text("update,loss\nx,y\n1,2,3,4,5\n")
    assert findings_of(folder) == []


def test_a_configuration_of_another_version_has_fewer_rules(folder):
    write_yaml(folder / "config.yaml", {"name": "old"})
    updates.append(folder / updates.FILE, [Update(at, 1.0 + at, 1.0, 0.1) for at in range(1, 101)])
    write_json(folder / "result.json", {"status": "complete", "metrics": {}})
    assert [one.name for one in findings_of(folder)] == ["divergence", "learning rate never decayed"]
