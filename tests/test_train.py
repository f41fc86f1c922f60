"""Whole runs, small: what they leave behind, how they end, and that measuring again gives the same numbers."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mcqa import train
from mcqa.config.composition import ROOT, compose
from mcqa.config.errors import ConfigError, DataError, McqaError, ModelError, TrainingError
from mcqa.models import loading
from mcqa.runs import run_folder
from mcqa.runs.files import read_json, read_yaml, write_yaml
from mcqa.runs.tracking.spool import Spool
from mcqa.training import trainer
from tests.small_runs import configured, trained

EXPERIMENTS = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
SMALLER = {  # options that cannot run on a test machine, and why
    "model": "the hub",
    "data": "the hub, and files that other tests write",
    **dict.fromkeys(
        [f"hardware/{name}" for name in ("gpu", "gpus", "nodes", "h100x8", "a100x4", "mi250x8", "nodes2_h100x8")],
        "GPUs; test_conf looks at each in a dry run, test_sharding trains by their strategies on a CPU",
    ),
    "optimizer/paged_adamw_8bit": "a GPU; test_optimizers takes its steps on a CPU, where it does not page",
    **dict.fromkeys(
        ["prompt/blank", "prompt/chat", "prompt/template", "prompt/published"],
        "blanks, chat template, template, published prompt; test_prompts_that_need_more_run_for_two_updates has them",
    ),
    **dict.fromkeys(["objective/pretrain", "objective/mixed"], "data.texts; training/test_forgetting.py has them"),
    "tracking/mlflow": "test_a_run_is_found_in_mlflow runs it",
    **dict.fromkeys(
        ["tracking/tensorboard", "tracking/wandb"], "packages of their own; test_viewers has fakes of them"
    ),
}
OPTIONS = {
    group.name: [option.stem for option in sorted(group.glob("*.yaml")) if f"{group.name}/{option.stem}" not in SMALLER]
    for group in sorted((ROOT / "conf").iterdir())
    if group.is_dir() and group.name not in ("experiment", "hydra", "site", "sweeps", *SMALLER)
}
COVERING = [
    [f"{group}={options[number % len(options)]}" for group, options in OPTIONS.items() if options]
    for number in range(max(map(len, OPTIONS.values())))
]
"""As few combinations as have every option of every group in one of them."""


def newest(outputs, name):
    return max((Path(outputs) / "runs" / name).iterdir(), key=lambda folder: folder.stat().st_mtime)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_for_two_updates(name, small):
    _, result = trained([f"+experiment={name}", *small, "data.texts=facts"])
    assert result["status"] == "complete"
    assert result["metrics"]["test/n"] == 16
    assert result["value"] == result["metrics"]["dev/acc"]


@pytest.mark.slow
@pytest.mark.parametrize("options", COVERING, ids=" ".join)
def test_every_option_of_every_group_runs_for_two_updates_in_one_of_these_combinations(options, small):
    _, result = trained([*small, *options])
    assert result["status"] == "complete"


@pytest.mark.slow
def test_prompts_that_need_more_run_for_two_updates(small, tmp_path):
    rows = [
        {"question": f"{n} is _ than {n + 1}.", "choices": ["less", "more"], "answer": 0, "subject": "", "id": n}
        for n in range(80)
    ]
    (tmp_path / "blanks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = loading.load_tokenizer(configured(["model=starter"])[0].model, [])
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "chatting")
    for options in (
        ["prompt=blank", f"data.path={tmp_path}/blanks.jsonl", "objective=choice", "prompt.shots=1"],
        ["prompt=published", "data.prompt.style=plain"],
        ["prompt=chat", f"model.tokenizer={tmp_path}/chatting"],
        ["prompt=template", "prompt.template='{{ question }} {{ letters }}'", "prompt.answer_template='{{ letter }}.'"],
    ):
        _, result = trained([*small, *options])
        assert result["status"] == "complete", options
        assert result["metrics"]["test/nan"] == 0


@pytest.mark.slow
def test_a_run_leaves_everything_in_its_folder(finished_run):
    folder, result = finished_run
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found >= {
        "config.yaml",
        "overrides.yaml",
        "environment.json",
        "events.jsonl",
        "result.json",
        "model/adapter_model.safetensors",
        "model/tokenizer.json",
        "model/README.md",
        "predictions/base_dev.jsonl",
        "predictions/base_test.jsonl",
        "predictions/dev.jsonl",
        "predictions/test.jsonl",
        "pictures/loss.png",
        "pictures/accuracy.png",
        "pictures/subjects.png",
        "wrong_test.json",
    }
    assert not [name for name in found if name.endswith(".partial")]
    for split in ("base/dev", "base/test", "dev", "test"):
        names = {
            f"{split}/{name}"
            for name in ("acc", "acc_norm", "acc_bytes", "acc_stderr_independent", "acc_ci_low", "n", "loss")
        }
        assert names <= result["metrics"].keys()
    assert result["seconds"] > 0
    assert result["peak_memory_bytes"] > 1e8
    environment = read_json(folder / "environment.json")
    assert environment["fingerprints"].keys() == {"train", "dev", "test", "tokenizer"}
    assert environment["packages"]["transformers"]
    line = json.loads((folder / "predictions" / "test.jsonl").read_text().splitlines()[0])
    assert line.keys() >= {
        "id",
        "question",
        "choices",
        "answer",
        "prediction",
        "correct",
        "scores",
        "lengths",
        "subject",
    }


@pytest.mark.slow
def test_the_model_card_names_data_licence_configuration_and_scores(finished_run):
    folder, result = finished_run
    card = (folder / "model" / "README.md").read_text()
    assert "; https://[redacted]@host/questions (licence: CC BY-SA 4.0)" in card
    assert f"{100 * result['metrics']['test/acc']:.1f} %" in card
    assert "learning_rate: 0.002" in card
    assert "| dev, after (it chose the checkpoint) |" in card and "its accuracy is too high on average" in card
    assert (
        f"| fine-tuned | {result['metrics']['test/ece']:.3f} | {result['metrics']['test/ece_if_calibrated']:.3f} |"
        in card
    )
    assert f"|   at temperature {result['metrics']['test/temperature']:.2f} |" in card
    assert yaml.safe_load(card.split("---")[1])["library_name"] == "peft"


@pytest.mark.slow
def test_a_first_look_says_everywhere_what_was_not_measured(small, tmp_path, capsys):
    trained([*small, "evaluation.before=false", "evaluation.test_limit=5", "objective.max_steps=2"])
    folder = newest(tmp_path / "outputs", "run")
    result, shown = read_json(folder / "result.json"), capsys.readouterr().out
    card = (folder / "model" / "README.md").read_text("utf-8")
    (note,) = [each for each in tags_of(folder) if "mlflow.note.content" in each]
    assert result["status"] == "complete" and result["base_measured"] is False
    assert result["first_look"]["test"]["questions"] == 5
    assert not [name for name in result["metrics"] if name.startswith("base/") or "gain" in name]
    assert "not measured (evaluation.before=false)" in shown and "(evaluation.test_limit)" in shown
    for text in (shown, card, note["mlflow.note.content"]):
        assert "The base was not measured (evaluation.before=false)" in text
        assert "A first look: 5 of " in text
    assert not list((folder / "predictions").glob("base_*"))


def tags_of(folder):
    return [event["values"] for _, event in Spool(folder).read() if event["event"] == "tags"]


@pytest.mark.slow
def test_a_training_that_fails_says_so_in_its_result(small, tmp_path):
    with pytest.raises((TrainingError, ModelError)) as raised:
        trained(
            [
                *small,
                "peft=none",
                "optimizer.learning_rate=1e30",
                "optimizer.max_grad_norm=0",
                "tracking.log_every=1",
                "objective.max_steps=5",
            ]
        )
    result = read_json(newest(tmp_path / "outputs", "run") / "result.json")
    assert result["status"] == "failed"
    assert result["error"] == str(raised.value)


@pytest.mark.slow
def test_a_run_is_found_in_mlflow(finished_run, questions_folder):
    from mlflow import MlflowClient

    folder, result = finished_run
    client = MlflowClient(f"sqlite:///{folder.parents[2]}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mcqa").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"smoke-starter-{questions_folder.name}")
    assert run.data.params["optimizer.learning_rate"] == "0.002"
    assert run.data.params["seed"] == "3"
    assert run.data.metrics["test/acc"] == pytest.approx(result["metrics"]["test/acc"])
    assert {
        "train/loss",
        "grad_norm",
        "learning_rate",
        "tokens_per_second",
        "questions_per_second",
    } <= run.data.metrics.keys()
    assert any(name.startswith("system/") for name in run.data.metrics)
    assert run.data.tags["packages.torch"]
    assert {entry.dataset.name for entry in run.inputs.dataset_inputs} == {questions_folder.name}
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "environment.json", "pictures", "predictions", "result.json", "wrong_test.json"} <= names


def started(arguments, **options):
    command = [sys.executable, "-m", "mcqa.train", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for_checkpoint(process, runs, beyond, pattern="*"):
    """Until one of more than `beyond` updates is complete, of the run that the pattern finds below a folder."""
    deadline = time.time() + 300
    while time.time() < deadline:
        found = [
            int(path.parent.name.split("-")[1])
            for path in runs.glob(f"{pattern}/checkpoints/checkpoint-*/complete.json")
        ]
        if max(found, default=0) > beyond:
            return max(found)
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    raise TimeoutError("no checkpoint")


def curves(events):
    """What the tracker got of the training, but for speeds."""
    logged = [event for event in events if event["event"] == "metrics" and event.get("of") == "training"]
    pairs = [(event["step"], key, value) for event in logged for key, value in event["values"].items()]
    return [pair for pair in pairs if "per_second" not in pair[1] and pair[1] != "padding_fraction"]


def events_of(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_run_that_is_stopped_and_killed_and_resumed_equals_one_that_was_not(small, questions_folder, tmp_path):
    """SIGTERM, SIGKILL, then to the end: three processes, one folder, one run in MLflow, equal weights and curves."""
    from mlflow import MlflowClient

    overrides = [
        *small, "objective.max_steps=28", "objective.epochs=null", "evaluation.every=4", "tracking.log_every=3",
        "peft.dropout=0.1",
    ]  # fmt: skip
    runs = tmp_path / "outputs" / "runs" / f"stopped-starter-{questions_folder.name}"
    first = started([*overrides, "name=stopped", "tracking=mlflow"])
    done = wait_for_checkpoint(first, runs, beyond=0)
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate()
    (folder,) = runs.iterdir()
    assert first.returncode == 1
    assert errors.splitlines()[-1] == f"Stopped by SIGTERM. Resume it with: python -m mcqa.train resume={folder}"
    assert "Traceback" not in errors
    result = read_json(folder / "result.json")
    assert (result["status"], result["error"]) == ("preempted", "Stopped by SIGTERM.")

    second = started([f"resume={folder}"])
    base = (folder / "predictions" / "base_test.jsonl").stat().st_mtime_ns
    wait_for_checkpoint(second, runs, beyond=done + 5)
    second.kill()
    second.communicate()
    assert not (folder / "result.json").exists()

    third = started([f"resume={folder}"])
    _, errors = third.communicate()
    assert third.returncode == 0, errors
    result = read_json(folder / "result.json")
    assert result["status"] == "complete"
    assert (folder / "predictions" / "base_test.jsonl").stat().st_mtime_ns == base

    undisturbed, expected = trained([*overrides, "name=undisturbed"])
    weights = "model/adapter_model.safetensors"
    assert (folder / weights).read_bytes() == (undisturbed / weights).read_bytes()
    assert result["metrics"] == expected["metrics"]
    assert curves(events_of(folder)) == curves(events_of(undisturbed))
    client = MlflowClient(f"sqlite:///{tmp_path}/outputs/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mcqa").experiment_id])
    assert run.info.status == "FINISHED"
    points = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train/loss")]
    assert sorted(points) == [
        (step, value) for step, key, value in curves(events_of(undisturbed)) if key == "train/loss"
    ]


@pytest.mark.slow
def test_a_run_that_stopped_after_its_last_update_is_resumed_without_training(small, monkeypatch):
    folder, result = trained([*small, "optimizer.learning_rate=0.01", "objective.max_steps=4"])
    (folder / "result.json").unlink()
    monkeypatch.setattr(trainer.MeasuringTrainer, "training_step", lambda *_, **__: pytest.fail("trained again"))
    train.main(compose("config", [f"resume={folder}"]), [f"resume={folder}"])
    again = read_json(folder / "result.json")
    assert again["status"] == "complete"
    assert again["metrics"] == pytest.approx(result["metrics"], abs=1e-6)


@pytest.mark.slow
def test_a_run_is_not_resumed_on_other_questions(finished_run, questions_folder, tmp_path):
    folder = shutil.copytree(finished_run[0], tmp_path / "copy")
    (folder / "result.json").unlink()
    config_dict = read_yaml(folder / "config.yaml")
    config_dict["data"]["path"] = str(shutil.copytree(questions_folder, tmp_path / "changed"))
    write_yaml(folder / "config.yaml", config_dict)
    lines = (tmp_path / "changed" / "test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "changed" / "test.jsonl").write_text("".join(reversed(lines)))
    with pytest.raises(DataError, match="began on other questions"):
        train.main(compose("config", [f"resume={folder}"]), [f"resume={folder}"])


def test_a_run_that_is_still_at_work_is_not_resumed(small):
    config, config_dict = configured(small)
    folder = run_folder.create(config.outputs, config.name, config_dict, small)
    with run_folder.only_run(folder), pytest.raises(ConfigError, match=f"is being run by process {os.getpid()} on"):
        train.main(compose("config", [f"resume={folder}"]), [f"resume={folder}"])


@pytest.mark.slow
def test_of_two_commands_that_resume_one_run_one_is_refused_at_once(small, tmp_path):
    """Also while the first one is still importing, before it has written anything."""
    config, config_dict = configured([*small, "objective.max_steps=2"])
    folder = run_folder.create(config.outputs, config.name, config_dict, small)
    both = [started([f"resume={folder}"]) for _ in range(2)]
    ended = [(process.communicate()[1], process.returncode) for process in both]
    refused = [errors for errors, status in ended if status]
    assert len(refused) == 1 and "is being run by process" in refused[0] and "Traceback" not in refused[0]
    assert read_json(folder / "result.json")["status"] == "complete"
    starts = [event for event in events_of(folder) if event["event"] == "start"]
    assert len(starts) == 1


@pytest.mark.slow
def test_a_file_that_the_disk_refuses_ends_the_run_without_a_traceback(small):
    """The system refuses the configuration, as any file beyond 2,000 bytes."""
    process = started(small, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)))
    _, errors = process.communicate()
    assert process.returncode == 1
    (message,) = errors.splitlines()
    assert re.match(r"The disk takes nothing more at .*/config\.yaml: File too large\. ", message)
    assert message.endswith("Then give the same command again.")


@pytest.mark.slow
def test_a_run_that_moved_with_its_outputs_is_resumed_from_anywhere_in_its_database(small, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.chdir(first)
    folder, _ = trained([*small, "outputs=results", "tracking=mlflow", "objective.max_steps=2"])
    (folder / "result.json").unlink()
    (first / "results").rename(tmp_path / "moved")
    monkeypatch.chdir(second)
    folder = tmp_path / "moved" / folder.relative_to(first / "results")
    train.main(compose("config", [f"resume={folder}"]), [f"resume={folder}"])
    client = MlflowClient(f"sqlite:///{tmp_path}/moved/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("mcqa").experiment_id])
    assert run.info.status == "FINISHED"
    assert not list(second.iterdir())


@pytest.mark.slow
def test_an_adapter_is_no_base_to_train(finished_run, small):
    folder, _ = finished_run
    with pytest.raises(ModelError, match="holds an adapter"):
        trained([*small, "model=local", f"model.path={folder / 'model'}"])


@pytest.mark.slow
def test_what_is_left_out_is_listed_in_a_file(finished_run):
    folder, _ = finished_run
    assert read_json(folder / "left_out.json")["too_long"]


@pytest.mark.slow
@pytest.mark.parametrize("argument", ["hub_strategy=foo"])
def test_an_argument_that_the_training_loop_refuses_is_reported(argument, small):
    with pytest.raises(ConfigError, match="objective.trainer_args: .*foo"):
        trained([*small, f"+objective.trainer_args.{argument}"])


@pytest.mark.slow
def test_modules_that_the_model_does_not_have_are_reported(small):
    with pytest.raises(ModelError, match="peft.target_modules"):
        trained([*small, "peft.target_modules=[foo]"])


@pytest.mark.slow
def test_the_main_job_is_better_than_its_base_beyond_both_intervals(tmp_path):
    """The embedded model and questions, half as long as make run trains."""
    overrides = ["+experiment=qlora_mcqa", "objective.epochs=2", "evaluation.every=1/epoch", "tracking=none"]
    _, result = trained([*overrides, f"outputs={tmp_path}/outputs"])
    assert result["metrics"]["test/acc_ci_low"] > result["metrics"]["base/test/acc_ci_high"] + 0.2
    assert result["metrics"]["test/acc"] > 0.85


@pytest.mark.slow
def test_a_complete_run_is_not_resumed(finished_run):
    folder, _ = finished_run
    with pytest.raises(ConfigError, match="is complete"):
        train.main(compose("config", [f"resume={folder}"]), [f"resume={folder}"])


def test_dry_run_shows_tokens_lengths_and_updates_and_trains_nothing(small, capsys):
    config_dict = compose("config", [*small, "dry_run=true", "objective.max_length=24"])
    train.main(config_dict, [])
    shown = capsys.readouterr().out
    for expected in ("learning_rate: 0.002", "Question", "median", "are dropped, longer than objective.max_length=24"):
        assert expected in shown
    assert shown.index("← right") < shown.index("two training examples"), "one question as it is read comes first"
    assert "Updates: 2" in shown
    assert "8 questions, at most 8 per forward pass" in shown
    assert "2 updates: fewer than 100" in shown
    assert not Path(config_dict["outputs"]).exists()


def test_dry_run_shows_epochs_and_questions_of_an_update_as_they_will_be(small, capsys):
    larger = ["dry_run=true", "optimizer.batch_size=128", "objective.max_steps=null", "objective.epochs=3"]
    train.main(compose("config", [*small, *larger]), [])
    shown = capsys.readouterr().out
    assert "Updates: 3, 3 epochs, " in shown
    assert "Each update: 40 questions, at most 32 per forward pass" in shown
    assert "An update of optimizer.batch_size=128 is more than the 40 training examples" in " ".join(shown.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "files"),
    [
        ("arc_challenge", ["train.jsonl", "validation.jsonl", "test.jsonl"]),
        ("commonsenseqa", ["train.jsonl", "validation.jsonl"]),
    ],
)
def test_the_main_job_trains_on_the_publishers_files(data, files, tmp_path):
    """On the real files by MCQA_TEST_DATA, else on files of the same raw format."""
    real = Path(os.environ.get("MCQA_TEST_DATA", "/nowhere")) / data
    path = real if real.is_dir() else written_as_published(tmp_path, data, files)
    limits = ["data.limit=64", "objective.max_steps=2", "evaluation.every=2", "evaluation.limit=50", "tracking=none"]
    overrides = ["+experiment=qlora_mcqa", f"data={data}", f"data.path={path}", *limits, f"outputs={tmp_path}/outputs"]
    _, result = trained(overrides)
    assert result["status"] == "complete"
    assert 0 <= result["metrics"]["base/test/acc"] <= 1
    if real.is_dir():
        assert result["metrics"]["test/n"] == {"arc_challenge": 1172, "commonsenseqa": 1221}[data]


def written_as_published(folder, data, files):
    letters = "ABCDE" if data == "commonsenseqa" else "ABCD"
    for name in files:
        rows = [
            {
                "id": f"{name}-{i}",
                "question": f"What is {i} plus {len(name)}?",
                "choices": {"label": list(letters), "text": [str(i + len(name) + k) for k in range(len(letters))]},
                "answerKey": letters[0],
            }
            for i in range(80)
        ]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("data.columns.question=stem", "there is no 'stem'"),
        ("data.path=nowhere.csv", "no such file or folder"),
        ("model.path=/no/such", "there is no such folder here"),
        ("model.path={tmp}", "config.json is missing"),
        ("hardware.devices=999", "CPU cores of this machine"),
    ],
)
def test_what_is_known_before_the_questions_are_read_leaves_no_run(override, problem, small, tmp_path):
    (tmp_path / "empty").mkdir()
    base = ["model=local", "model.path=embedded:starter", "optimizer.batch_size=999"]
    overrides = [*small, *base, override.format(tmp=tmp_path / "empty")]
    with pytest.raises(McqaError, match=problem):
        train.main(compose("config", overrides), overrides)
    assert not list(tmp_path.rglob("runs/*/*")) and not list(tmp_path.rglob("mlflow.db"))


def test_dry_run_ends_with_an_error_where_the_weights_cannot_fit(small, capsys, monkeypatch):
    monkeypatch.setattr("mcqa.models.memory.available_bytes", lambda machine: 1e6)
    config, config_dict = configured([*small, "dry_run=true", "peft=none"])
    with pytest.raises(ConfigError, match="weights, gradients and optimizer state alone"):
        train.preview(config, config_dict, train.read_inputs(config))
    assert "it will not fit" in " ".join(capsys.readouterr().out.split())
