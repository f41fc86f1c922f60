"""What this application adds to a study of its runs."""

from types import SimpleNamespace

import cloudpickle
import pytest

from mcqa import train
from mcqa.config.composition import compose
from mcqa.config.metric_names import ACCURACIES
from mcqa.config.schema import Config
from mcqa.evaluation.decisions import SCORES
from mcqa.runs.files import write_yaml
from mcqa.sweep.adapter import RunHooks


@pytest.fixture(scope="module")
def config_dict():
    return compose("config", [])


def changed(config_dict, **groups):
    return config_dict | {name: config_dict[name] | changes for name, changes in groups.items()}


def hooks():
    return RunHooks("config", Config)


def space(*names, fixed=()):
    return SimpleNamespace(distributions=dict.fromkeys(names), fixed=fixed)


def test_a_complete_configuration_has_no_problems_and_a_wrong_one_all_of_them(config_dict):
    assert hooks().complete(changed(config_dict), []) == []
    wrong = changed(config_dict, optimizer={"learning_rate": -1.0}, scheduler={"warmup_ratio": 2})
    told = "\n".join(hooks().complete(wrong, []))
    assert "optimizer.learning_rate" in told and "scheduler.warmup_ratio" in told


@pytest.mark.parametrize(
    ("every", "swept", "refused"),
    [
        (50, ["optimizer.gradient_accumulation_steps", "optimizer.learning_rate"], True),
        (50, ["optimizer.batch_size"], True),
        (50, ["optimizer.learning_rate"], False),
        ("2/epoch", ["hardware.micro_batch_size"], False),
    ],
)
def test_where_the_batch_size_varies_trials_are_measured_at_points_of_an_epoch(config_dict, every, swept, refused):
    told = hooks().check(changed(config_dict, evaluation={"every": every}), space(*swept), None, pruner="median")
    assert bool(told) == refused
    assert not told or (swept[0] in told[0] and "2/epoch" in told[0])


@pytest.mark.parametrize(
    ("swept", "pruner", "refused"),
    [("data.limit", "median", True), ("data", "asha", True), ("data.limit", "none", False)],
)
def test_trials_with_epochs_of_different_lengths_are_not_pruned(config_dict, swept, pruner, refused):
    told = hooks().check(changed(config_dict, evaluation={"every": "2/epoch"}), space(swept), None, pruner)
    assert bool(told) == refused
    assert not told or (told[0].startswith(swept) and "pruner=none" in told[0])


def test_comparing_question_by_question_needs_an_accuracy(config_dict):
    assert set(ACCURACIES) == set(SCORES)
    for metric, refused in (("acc", False), ("acc_norm", False), ("acc_worst", True), ("loss", True)):
        steered = changed(config_dict, evaluation={"best_metric": f"dev/{metric}"})
        told = hooks().check(steered, space("optimizer.learning_rate"), None, "paired")
        assert bool(told) == refused
        assert not told or f"evaluation.best_metric=dev/{metric}" in told[0]


def test_what_a_function_suggests_must_be_comparable_too(config_dict):
    ours = hooks()
    base = changed(config_dict, evaluation={"every": 50})
    assert ours.check(base, space("optimizer.learning_rate"), None, pruner="median") == []
    assert ours.complete(changed(base, optimizer={"learning_rate": 0.5}), []) == []
    (told,) = ours.complete(changed(base, optimizer={"batch_size": 8}), [])
    assert "optimizer.batch_size" in told
    (told,) = ours.complete(changed(base, data={"limit": 8}), [])
    assert "data.limit" in told


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("evaluation.best_metric", "different metrics"),
        ("evaluation.limit", "different questions"),
        ("evaluation.test_limit", "different questions"),
        ("evaluation.dev", "different questions"),
        ("evaluation.dev.data.limit", "different questions"),
        ("evaluation.every", "more chances"),
        ("evaluation", "different metrics"),
        ("name", "no names"),
        ("outputs", "one folder"),
        ("tracking.uri", "one tree of runs"),
        ("tracking", "one tree of runs"),
        ("data", "evaluation.dev=<set> gives all of them one dev"),
        ("data.path", "different questions"),
        ("data.splits.dev", "different questions"),
        ("data.seed", "different questions"),
    ],
)
def test_what_the_value_of_a_trial_means_is_the_same_in_the_whole_study(key, why, config_dict):
    base = changed(config_dict, evaluation={"every": "2/epoch"})
    (told,) = hooks().check(base, space("seed", key), None, pruner="none")
    assert told.startswith(f"{key}: cannot vary in a study") and why in told


@pytest.mark.parametrize("key", ["data.dev_fraction", "data.splits.train", "data.split_by"])
def test_what_cuts_dev_from_train_may_vary_only_where_dev_is_not_cut(key, config_dict):
    assert hooks().check(config_dict, space(key), None, pruner="none") == []
    cut = changed(config_dict, data={"splits": {"train": "train", "dev": None, "test": "test"}})
    (told,) = hooks().check(cut, space(key), None, pruner="none")
    assert told.startswith(f"{key}: cannot vary in a study")


def test_training_data_may_vary_where_dev_is_another_set(config_dict):
    base = changed(config_dict, evaluation={"dev": {"name": "mine", "split": "dev", "data": config_dict["data"]}})
    assert hooks().check(base, space("data", "data.limit", "prompt", "evaluation.patience"), None, pruner="none") == []


def test_a_value_that_params_fix_must_be_that_of_the_study(config_dict):
    same, other = "evaluation.best_metric=dev/acc", "evaluation.best_metric=dev/loss"
    assert hooks().check(config_dict, space("seed", fixed=(same, "data.limit=5")), None, pruner="none") == []
    (told,) = hooks().check(config_dict, space("seed", fixed=(other,)), None, pruner="none")
    assert told.startswith("evaluation.best_metric: cannot vary in a study")


def test_what_a_function_suggests_must_mean_the_same(config_dict):
    ours = hooks()
    assert ours.check(config_dict, space("seed"), None, pruner="none") == []
    assert ours.complete(changed(config_dict, prompt={"shots": 2}) | {"name": "other"}, []) == []
    (told,) = ours.complete(changed(config_dict, evaluation={"limit": 8}), [])
    assert told.startswith("evaluation.limit: cannot vary in a study")


def test_a_study_judges_by_what_steers_its_trials(config_dict):
    assert hooks().check(config_dict, space("seed"), "dev/acc", pruner="none") == []
    (told,) = hooks().check(config_dict, space("seed"), "dev/loss", pruner="none")
    assert "hydra.sweeper.metric=dev/loss" in told and "evaluation.best_metric" in told


def test_a_stored_run_is_read_once_for_all_its_trials(config_dict, tmp_path):
    stored = changed(config_dict, optimizer={"learning_rate": 0.125}) | {"seed": 5, "name": "stored"}
    write_yaml(tmp_path / "config.yaml", stored)
    asked = ["hydra.sweeper.n_trials=3", f"from_run={tmp_path}", "seed=7"]
    given = compose("config", asked[1:])
    assert hooks().complete(given, asked) == []
    assert given == stored | {"seed": 7, "from_run": None, "outputs": given["outputs"]}


def test_a_stored_run_that_is_not_there_is_reported(config_dict, tmp_path):
    (told,) = hooks().complete(config_dict | {"from_run": str(tmp_path)}, [f"from_run={tmp_path}"])
    assert str(tmp_path) in told


@pytest.mark.parametrize(("metric", "direction"), [("dev/acc", "maximize"), ("dev/loss", "minimize")])
def test_the_direction_is_that_of_the_metric(config_dict, metric, direction):
    assert hooks().direction(changed(config_dict, evaluation={"best_metric": metric})) == direction


def test_nobody_is_reported_where_nothing_is_tracked(config_dict, tmp_path):
    ours = hooks()
    assert ours.observers(changed(config_dict, tracking={"name": "none"}), tmp_path, {}) == []
    ours.finished(summary(), complete=True)


def summary(**changes):
    values = {
        "verdict": "Trial 3 is the best.", "notes": ["Of few."], "value": 0.75, "best": 3,
        "counts": {"complete": 3, "pruned": 1}, "importances": {"peft.rank": 0.8, "seed": 0.2},
    }  # fmt: skip
    return SimpleNamespace(**values | changes)


class Told:
    def finish(self, *arguments):
        self.arguments = arguments


def test_the_tracker_hears_what_the_study_found():
    ours = hooks()
    ours.tracker = Told()
    ours.finished(summary(), complete=True)
    complete, metrics, tags = ours.tracker.arguments
    assert complete and tags["verdict"] == "Trial 3 is the best."
    assert tags["mlflow.note.content"] == "Trial 3 is the best.\n\nOf few."
    assert metrics == {
        "best": 0.75, "best_trial": 3.0, "trials/complete": 3.0, "trials/pruned": 1.0,
        "importance/peft.rank": 0.8, "importance/seed": 0.2,
    }  # fmt: skip
    ours.finished(summary(value=None, best=None, importances={}), complete=False)
    assert ours.tracker.arguments[1] == {"trials/complete": 3.0, "trials/pruned": 1.0}


def test_the_command_s_task_travels_to_a_job_without_the_tracker(monkeypatch):
    tasks = []
    monkeypatch.setattr("hydra.main", lambda **options: lambda task: lambda: tasks.append(task))
    monkeypatch.setattr("sys.argv", ["train", "+experiment=smoke"])
    train.command()
    tasks[0].hooks.tracker = Told()
    travelled = cloudpickle.loads(cloudpickle.dumps(tasks[0]))
    assert (travelled.hooks.config_name, travelled.hooks.kind, travelled.hooks.tracker) == ("config", Config, None)
