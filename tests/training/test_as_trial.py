"""Runs as trials: what they report to the study, what they keep, and one real study from start to result."""

import sys
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from mcqa import train
from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data.question import Question
from mcqa.evaluation import predictions
from mcqa.evaluation.predictions import Prediction
from mcqa.runs import repeat
from mcqa.runs.files import read_json, read_yaml, write_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.runs.signals import Watch
from mcqa.runs.tracking.spool import Spool
from mcqa.runs.trial import Paused, Pruned, Trial
from mcqa.training import checkpoints
from mcqa.training.as_trial import TrialReporter, base_predictions, measured_at_every_point
from tests.small_runs import configured, smaller

ADAPTERS = ("adapter_model.safetensors", "model.safetensors", "optimizer.pt")


def trial_in(folder):
    """Return a trial of a study in a new folder."""
    (folder / "trials" / "0").mkdir(parents=True)
    (folder / "study.yaml").touch()
    return Trial(folder / "trials" / "0")


# --- what a trial reports


def test_the_metric_of_the_study_is_reported_at_the_points_and_nowhere_else(tmp_path):
    trial = trial_in(tmp_path)
    reporter = TrialReporter(trial, "dev/acc", {2: 10, 4: 20}, seen=lambda update: 6 * update)
    for update in (1, 2, 3, 4):
        reporter.on_evaluate(
            None, SimpleNamespace(global_step=update, max_steps=4), None, {"eval_dev/acc": update / 10}
        )
    reports = [(report.point, report.value, report.seen) for report in Mailbox(trial.folder).reports()]
    assert reports == [(10, 0.2, 12), (20, 0.4, 24)]


def prediction(number, scores, answer):
    return Prediction(Question(f"q{number}", "Why?", ("a", "bbbb"), answer), scores, (1, 1))


def test_a_report_says_which_questions_the_metric_counts_as_right(tmp_path):
    trial, answers = trial_in(tmp_path), []
    for metric in ("acc", "acc_norm", "loss"):
        answers[:] = [prediction(0, (-1.0, -2.0), 0), prediction(1, (-1.0, -2.0), 1)]
        reporter = TrialReporter(trial, f"dev/{metric}", {1: len(metric)}, seen=lambda update: 1, answers=answers)
        reporter.on_evaluate(None, SimpleNamespace(global_step=1, max_steps=1), None, {f"eval_dev/{metric}": 0.5})
    rights = {report.point: report.right for report in Mailbox(trial.folder).reports()}
    assert rights == {len("acc"): "10", len("acc_norm"): "01", len("loss"): None}


def test_a_report_says_how_far_the_training_is_and_whether_its_learning_rate_still_rises(tmp_path):
    trial = trial_in(tmp_path)
    reporter = TrialReporter(trial, "dev/acc", {2: 10, 3: 15, 4: 20}, seen=lambda update: 5 * update, warmup=2)
    for update in (2, 3, 4):
        reporter.on_evaluate(None, SimpleNamespace(global_step=update, max_steps=4), None, {"eval_dev/acc": 0.5})
    reports = [(report.share, report.warm) for report in Mailbox(trial.folder).reports()]
    assert reports == [(0.5, False), (0.75, True), (1.0, True)]


def test_a_trial_leaves_no_measurement_out():
    config, _ = configured(["evaluation.max_time_share=0.1"])
    assert measured_at_every_point(config).evaluation.max_time_share is None


def test_a_training_ends_between_two_updates_when_the_study_prunes_it(tmp_path):
    trial = trial_in(tmp_path)
    reporter = TrialReporter(trial, "dev/acc", {}, seen=lambda update: update)
    reporter.on_step_end(None, None, None)
    Mailbox(trial.folder).request_prune()
    with pytest.raises(Pruned):
        reporter.on_step_end(None, None, None)


@pytest.mark.parametrize(("update", "pausing"), [(3, True), (4, False)])
def test_a_training_is_asked_to_save_and_stop_when_the_study_pauses_it_unless_it_has_made_its_last_update(
    tmp_path, update, pausing
):
    trial = trial_in(tmp_path)
    reporter = TrialReporter(trial, "dev/acc", {}, seen=lambda update: update)
    Mailbox(trial.folder).request_pause()
    with Watch() as watch:
        reporter.on_step_end(None, SimpleNamespace(global_step=update, max_steps=4), None)
        assert watch.stopping is pausing
        with pytest.raises(Paused) if pausing else nullcontext():
            watch.check()
    Mailbox(trial.folder).request_prune()
    with pytest.raises(Pruned):
        reporter.on_step_end(None, SimpleNamespace(global_step=update, max_steps=4), None)


def config_dict(**changes):
    """The part of a configuration that the predictions of the base depend on, and some other keys."""
    return {
        "model": {"path": "a/model"}, "data": {"limit": None}, "prompt": {"name": "cloze"}, "seed": 0,
        "optimizer": {"learning_rate": 1e-3}, "peft": {"name": "lora", "rank": 8, "quantization": None},
        "hardware": {"device": "cpu", "precision": "float32", "micro_batch_size": 4}, "evaluation": {"limit": None},
    } | changes  # fmt: skip


QUESTION = Question("q", "?", ("a", "b"), 0)


def rows():
    return [Prediction(QUESTION, (-1.0, -2.0), (1, 1))]


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"optimizer": {"learning_rate": 1e-4}}, False),
        ({"peft": {"name": "lora", "rank": 64, "quantization": None}, "seed": 3}, False),
        ({"hardware": {"device": "cpu", "precision": "float32", "micro_batch_size": 8}}, False),
        ({"data": {"limit": 50}}, True),
        ({"prompt": {"name": "letters"}}, True),
        ({"peft": {"name": "qlora", "rank": 8, "quantization": "nf4"}}, True),
    ],
)
def test_the_base_is_measured_once_for_all_trials_with_the_same_base_and_questions(tmp_path, changes, again):
    trial, measured = trial_in(tmp_path), []
    measure = lambda: measured.append(1) or rows()  # noqa: E731
    first = base_predictions(trial, config_dict(), [QUESTION], measure)
    assert base_predictions(trial, config_dict(**changes), [QUESTION], measure) == first == rows()
    assert len(measured) == 1 + again


def test_a_model_of_random_weights_is_another_one_with_another_seed(tmp_path):
    trial, measured = trial_in(tmp_path), []
    for seed in (0, 1, 1):
        scratch = config_dict(model={"path": None}, seed=seed)
        base_predictions(trial, scratch, [QUESTION], lambda: measured.append(1) or rows())
    assert len(measured) == 2


# --- trials that train


def weights(folder):
    return [path for path in folder.rglob("*") if path.name in ADAPTERS]


class Stopping(Trial):
    """Pruned, or stopped by the scheduler, after its first report."""

    raises: BaseException | None = None

    def should_prune(self):
        if not self.last_reported():
            return False
        if self.raises:
            raise self.raises
        return True


@pytest.mark.slow
def test_a_pruned_trial_has_its_last_value_and_keeps_no_weights(small, tmp_path):
    trial = Stopping(trial_in(tmp_path).folder)
    config, composed = configured([*small, "objective.max_steps=4"])
    write_yaml(trial.folder / "config.yaml", composed)
    write_yaml(trial.folder / "overrides.yaml", small)
    train.run(config, trial.folder, trial)
    result = read_json(trial.folder / "result.json")
    assert (result["status"], result["value"]) == ("pruned", trial.last_reported())
    assert [report.point for report in Mailbox(trial.folder).reports()] == [8]
    assert "base/dev/acc" in result["metrics"] and "dev/acc" not in result["metrics"]
    assert not weights(trial.folder)


class Pausing(Trial):
    """Asked to pause once it has reported so many points."""

    after = 1

    def should_pause(self):
        return len(Mailbox(self.folder).reports()) >= self.after


@pytest.mark.slow
def test_a_trial_that_pauses_twice_ends_as_one_that_did_not_in_the_same_run_of_mlflow(small, tmp_path):
    changes = ["objective.max_steps=6", "evaluation.every=2", "peft.dropout=0.1", "tracking=mlflow"]
    config, composed = configured([*small, *changes, "tracking.system_metrics_every_s=0"])
    ended = []
    for place, pauses in (("straight", 0), ("paused", 2)):
        folder = trial_in(tmp_path / place).folder
        write_yaml(folder / "config.yaml", composed)
        write_yaml(folder / "overrides.yaml", small)
        for after in range(1, pauses + 1):
            trial = Pausing(folder)
            trial.after = after
            with pytest.raises(Paused):
                train.run(config, folder, trial)
            result = read_json(folder / "result.json")
            assert (result["status"], result["value"], result["error"]) == ("paused", trial.last_reported(), None)
            assert checkpoints.steps(folder / "checkpoints")[-1].name == f"checkpoint-{2 * after + 1}"
        train.run(config, folder, Trial(folder))
        result = read_json(folder / "result.json")
        reports = [(report.point, report.value, report.right) for report in Mailbox(folder).reports()]
        predicted = (folder / "predictions" / "dev.jsonl").read_text()
        losses = [
            (event["step"], event["values"]["train/loss"])
            for _, event in Spool(folder).read()
            if event["event"] == "metrics" and "train/loss" in event["values"]
        ]
        ended.append((result["status"], result["value"], result["metrics"], reports, predicted, losses))
        assert Mailbox(folder).reports()[-1].line == 2 and not weights(folder)
        starts = [event for _, event in Spool(folder).read() if event["event"] == "start"]
        assert len({start["run"] for start in starts}) == 1
    assert ended[0] == ended[1]


@pytest.mark.slow
def test_a_trial_of_two_processes_is_pruned_in_both(small, tmp_path, monkeypatch):
    trial = trial_in(tmp_path)
    box = Mailbox(trial.folder)
    config, composed = configured(
        [*small, "hardware=cpu_processes", "objective.max_steps=500", "objective.epochs=null"]
    )
    write_yaml(trial.folder / "config.yaml", composed)
    write_yaml(trial.folder / "overrides.yaml", small)
    monkeypatch.setenv("MCQA_TRIAL", str(trial.folder))
    ended = threading.Event()

    def study():
        while not box.reports() and not ended.wait(0.1):
            pass
        box.request_prune()

    threading.Thread(target=study).start()
    try:
        train.run(config, trial.folder, trial)  # and ends, for it waits for both
    finally:
        ended.set()
    result = read_json(trial.folder / "result.json")
    assert (result["status"], result["error"], result["value"]) == ("pruned", None, trial.last_reported())
    assert 1 <= len(box.reports()) < 500
    assert not weights(trial.folder)


@pytest.mark.slow
def test_a_trial_of_two_processes_pauses_in_both_and_goes_on(small, tmp_path, monkeypatch):
    trial = trial_in(tmp_path)
    box = Mailbox(trial.folder)
    config, composed = configured(
        [*small, "hardware=cpu_processes", "objective.max_steps=8", "objective.epochs=null", "evaluation.every=4"]
    )
    write_yaml(trial.folder / "config.yaml", composed)
    write_yaml(trial.folder / "overrides.yaml", small)
    monkeypatch.setenv("MCQA_TRIAL", str(trial.folder))
    box.request_pause()
    with pytest.raises(Paused):
        train.run(config, trial.folder, trial)
    assert (box.result() or {})["status"] == "paused" and not box.reports()
    assert [path.name for path in checkpoints.steps(trial.folder / "checkpoints")] == ["checkpoint-1"]
    box.withdraw_pause()
    train.run(config, trial.folder, trial)
    assert (box.result() or {})["status"] == "complete" and len(box.reports()) == 2


@pytest.mark.slow
def test_a_trial_that_was_stopped_resumes_from_its_checkpoint(small, tmp_path):
    trial = Stopping(trial_in(tmp_path).folder)
    trial.raises = KeyboardInterrupt()
    config, composed = configured(small)
    write_yaml(trial.folder / "config.yaml", composed)
    write_yaml(trial.folder / "overrides.yaml", small)
    with pytest.raises(KeyboardInterrupt):
        train.run(config, trial.folder, trial)
    box = Mailbox(trial.folder)
    assert (box.result() or {})["status"] == "preempted" and weights(trial.folder)
    first = box.reports()
    train.run(config, trial.folder, Trial(trial.folder))
    assert (box.result() or {})["status"] == "complete"
    assert box.reports()[0] == first[0] and [report.point for report in box.reports()] == [8, 16]
    assert (trial.folder / "reports.jsonl").read_text().count("\n") == 2  # it did not start again
    assert not weights(trial.folder)


# --- a whole study


def run_command(monkeypatch, *arguments):
    with monkeypatch.context() as command:
        command.setattr(sys, "argv", ["mcqa.train", *arguments])
        train.command()


@pytest.fixture(scope="module")
def study(questions_folder, tmp_path_factory):
    """Two trials of two updates in this process, tracked by MLflow."""
    folder = tmp_path_factory.mktemp("study")
    arguments = [
        "--multirun", "+experiment=smoke", "+sweeps=smoke", "hydra/launcher=basic", *smaller(questions_folder, folder),
        "tracking=mlflow", "tracking.system_metrics_every_s=0", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1",
        "evaluation.limit=null",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_command(monkeypatch, *arguments)
    return folder / "outputs" / "sweeps" / "smoke-smoke"


def results(study):
    return [read_json(study / "trials" / str(number) / "result.json") for number in range(2)]


@pytest.mark.slow
def test_trials_measure_dev_and_never_test_and_keep_no_weights(study):
    for number, result in enumerate(results(study)):
        folder = study / "trials" / str(number)
        assert result["status"] == "complete" and result["value"] == result["metrics"]["dev/acc"]
        assert {name.split("/")[0] for name in result["metrics"]} == {"dev", "base"}
        assert not [name for name in result["metrics"] if "test/" in name]
        assert {path.name for path in (folder / "predictions").iterdir()} == {"base_dev.jsonl", "dev.jsonl"}
        assert [report.point for report in Mailbox(folder).reports()] == [8, 16]
        assert len(result["commit"].removesuffix("+dirty")) == 40
        assert not weights(folder) and not (folder / "model").exists()


@pytest.mark.slow
def test_trial_0_is_the_default_configuration(study):
    rates = [read_yaml(study / "trials" / str(n) / "config.yaml")["optimizer"] for n in range(2)]
    default = compose("config", ["+experiment=smoke"])["optimizer"]
    assert rates[0]["learning_rate"] == default["learning_rate"] != rates[1]["learning_rate"]


@pytest.mark.slow
def test_a_study_writes_a_page_that_needs_no_network_and_its_tables(study):
    page = (study / "report.html").read_text()
    assert "dev/acc" in page and "optimizer.learning_rate" in page and "smoke-smoke" in page
    assert 'src="http' not in page
    best = max(results(study), key=lambda result: result["value"])["value"]
    answer = read_yaml(study / "optimization_results.yaml")
    assert answer["best_value"] == best and "optimizer.learning_rate" in answer["best_params"]
    assert len((study / "trials.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_mlflow_has_the_study_and_below_it_its_trials(study):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{study.parents[1]}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("mcqa").experiment_id])
    (parent,) = (run for run in found if "mcqa.study" in run.data.tags)
    trials = {run.data.tags["trial"]: run for run in found if run is not parent}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {parent.info.run_id}
    assert {run.info.status for run in found} == {"FINISHED"} and trials.keys() == {"0", "1"}
    assert parent.data.metrics["trials/complete"] == 2 and parent.data.tags["verdict"]
    assert "report.html" in {file.path for file in client.list_artifacts(parent.info.run_id)}
    for number, result in enumerate(results(study)):
        run = trials[str(number)]
        assert run.data.metrics["dev/acc"] == pytest.approx(result["value"])
        assert run.data.params["data.name"].startswith("questions") and "train/loss" in run.data.metrics


@pytest.mark.slow
def test_from_run_repeats_a_trial_as_a_whole_run(study, monkeypatch, tmp_path):
    folder = study / "trials" / "1"
    mlflow_id = read_json(folder / "tracking.json")["run_id"]
    stored = read_yaml(folder / "config.yaml")
    outputs = f"outputs={study.parents[1]}"
    for reference in (str(folder), mlflow_id):
        overrides = [f"from_run={reference}", outputs, "seed=7"]
        again = repeat.repeated_config(compose("config", overrides), overrides)
        assert again == stored | {"seed": 7, "from_run": reference}
    run_command(monkeypatch, f"from_run={folder}", f"outputs={tmp_path}", "tracking=none")
    (run,) = (tmp_path / "runs").glob("smoke-starter-*/*")
    result = read_json(run / "result.json")
    assert result["metrics"]["dev/acc"] == results(study)[1]["value"] and result["metrics"]["test/n"] == 16
    assert weights(run / "model")
    (shared,) = (study / "shared").glob("base_dev-*.jsonl")  # what the trials shared is what a run measures itself
    assert predictions.read(shared) == predictions.read(run / "predictions" / "base_dev.jsonl")


@pytest.mark.slow
def test_best_yaml_is_the_best_trial_as_an_experiment(study, monkeypatch, tmp_path):
    best = max(range(2), key=lambda number: (results(study)[number]["value"], -number))
    stored = read_yaml(study / "trials" / str(best) / "config.yaml")
    again = compose("config", ["+experiment=best", f"outputs={stored['outputs']}"], config_dir=str(study))
    assert again == stored and typed(again, Config)
    run_command(monkeypatch, "--config-dir", str(study), "+experiment=best", f"outputs={tmp_path}", "tracking=none")
    (run,) = (tmp_path / "runs").glob("smoke-starter-*/*")
    assert read_json(run / "result.json")["metrics"]["dev/acc"] == results(study)[best]["value"]
