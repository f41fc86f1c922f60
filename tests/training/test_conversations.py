"""A run on data without choices: what it reports, how it is measured again and resumed, and a mix beside it."""

import json

import pytest

from mcqa import evaluate, train
from mcqa.config.composition import compose
from mcqa.config.errors import DataError
from mcqa.data import facts
from mcqa.evaluation.predictions import read
from mcqa.runs.files import read_json
from tests.small_runs import configured, trained


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def instructions(tmp_path_factory):
    rows = [{"instruction": q.question, "input": "", "output": q.choices[q.answer]} for q in facts.questions("train")]
    return written(tmp_path_factory.mktemp("instructions") / "alpaca.jsonl", rows[::20])


@pytest.fixture(scope="module")
def small_set(questions_folder):
    return f"{{data: local, path: {questions_folder}, name: facts}}"


def small(outputs):
    short = ["optimizer.batch_size=8", "objective.max_steps=2", "evaluation.every=1", "tracking=none"]
    return [*short, f"outputs={outputs}/outputs"]


@pytest.mark.slow
def test_what_has_no_choices_trains_and_what_has_them_measures(instructions, small_set, tmp_path):
    overrides = ["data=instructions", f"data.path={instructions}", f"evaluation.sets=[{small_set}]", *small(tmp_path)]
    folder, result = trained(overrides)
    metrics = result["metrics"]
    assert result["value"] == metrics["dev/loss"] < metrics["base/dev/loss"]
    assert {"base/facts/acc", "facts/acc", "facts/acc_gain_p", "test/perplexity"} <= metrics.keys()
    assert not {"dev/acc", "test/acc"} & metrics.keys()
    card = (folder / "model" / "README.md").read_text()
    assert "| facts, after | " in card and "| fine-tuned on test | " in card
    assert sorted(path.name for path in (folder / "predictions").iterdir()) == ["base_facts.jsonl", "facts.jsonl"]

    again = [f"run={folder}", f"outputs={tmp_path}/again"]
    measured = evaluate.main(compose("evaluate", again), again)
    for name in ("dev/loss", "test/loss", "facts/acc"):
        assert measured.record.metrics[name] == pytest.approx(metrics[name], abs=1e-6)

    (folder / "result.json").unlink()  # as of a run that was killed while it measured
    train.run(configured(overrides)[0], folder)
    assert read_json(folder / "result.json")["metrics"] == pytest.approx(metrics, abs=1e-6)


@pytest.mark.slow
def test_each_set_of_a_mix_is_measured_by_itself(instructions, small_set, tmp_path):
    talks = f"{{data: instructions, path: {instructions}, name: talks, weight: 2}}"
    folder, result = trained(["data=mix", f"data.sets=[{small_set},{talks}]", "data.temperature=2", *small(tmp_path)])
    metrics = result["metrics"]
    assert metrics["dev/facts/acc"] == metrics["dev/acc"] and metrics["facts/acc"] == metrics["test/acc"]
    assert metrics["dev/talks/loss"] == metrics["dev/conversations/loss"]
    mixed, alone = (read(folder / "predictions" / f"{name}.jsonl") for name in ("test", "facts"))
    assert [row.question.id for row in mixed] == [f"facts/{row.question.id}" for row in alone]
    events = (folder / "events.jsonl").read_text()
    assert "dev/facts/acc" in events


def test_a_metric_of_choices_is_refused_where_dev_turns_out_to_have_none(tmp_path):
    from mcqa.data.loading import load_run_data
    from mcqa.models import loading
    from mcqa.training.steering import steering_set

    rows = [
        {"messages": [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": "A number."}]}
        for n in range(100)
    ]
    path = written(tmp_path / "chat.jsonl", rows)
    told = ["data.conversations.questions=lettered", "data.conversations.form=plain"]
    config, _ = configured(["data=messages", f"data.path={path}", *told])
    data = load_run_data(config.data, config.evaluation)
    with pytest.raises(
        DataError, match=r"no question with choices, so dev/acc cannot be measured.*best_metric=dev/loss"
    ):
        steering_set(config, data, loading.load_tokenizer(config.model, []), None)
