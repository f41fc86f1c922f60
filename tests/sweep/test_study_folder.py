"""Whether a folder is still the same study, and who controls it."""

import os
import platform
import re

import pytest
import yaml
from omegaconf import OmegaConf

from mcqa.config.errors import ConfigError, FileError
from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.study_folder import (
    check_same,
    check_unfinished,
    interpolations,
    only_controller,
    set_aside,
    write_description,
)

STUDY = {
    "name": "core",
    "created": "2026-01-01",
    "commit": "abc",
    "direction": "maximize",
    "metric": "dev/acc",
    "sampler": {"name": "tpe"},
    "pruner": {"name": "median"},
    "n_trials": 16,
    "space": {"optimizer.learning_rate": "interval(1e-05,0.1)", "seed": "choice(1,2)"},
    "base": {"seed": 0, "optimizer": {"learning_rate": 1e-3, "name": "adamw", "betas": [0.9, 0.999]}, "path": None},
}


def written(folder):
    return yaml.safe_load((folder / "study.yaml").read_text())


def started(folder, description, allow_changes):
    """As a controller starts: what is compared is then written."""
    folder.mkdir(exist_ok=True)
    write_description(folder, check_same(folder, description, allow_changes))


def changed(**changes):
    return STUDY | changes


def test_the_first_time_is_written_down_and_the_same_again_is_let_through(tmp_path):
    started(tmp_path / "new", STUDY, allow_changes=False)
    assert written(tmp_path / "new") == STUDY
    started(tmp_path / "new", STUDY, allow_changes=False)
    assert written(tmp_path / "new") == STUDY


@pytest.mark.parametrize(
    ("description", "lines"),
    [
        (changed(metric="dev/acc_norm"), ['metric: "dev/acc" -> "dev/acc_norm"']),
        (changed(direction="minimize"), ['direction: "maximize" -> "minimize"']),
        (changed(sampler={"name": "tpe", "group": True}), ["sampler.group: (absent) -> true"]),
        (
            changed(space={"optimizer.learning_rate": "interval(1e-05,1.0)"}),
            [
                'space.optimizer.learning_rate: "interval(1e-05,0.1)" -> "interval(1e-05,1.0)"',
                'space.seed: "choice(1,2)" -> (absent)',
            ],
        ),
        (
            changed(base=STUDY["base"] | {"optimizer": {"learning_rate": 1e-3, "name": "sgd", "betas": [0.9, 0.99]}}),
            ['base.optimizer.name: "adamw" -> "sgd"', "base.optimizer.betas: [0.9, 0.999] -> [0.9, 0.99]"],
        ),
        (changed(base=STUDY["base"] | {"seed": False}), ["base.seed: 0 -> false"]),
    ],
)
def test_another_study_is_refused_with_what_changed(tmp_path, description, lines):
    started(tmp_path, STUDY, allow_changes=False)
    with pytest.raises(ConfigError) as error:
        check_same(tmp_path, description, allow_changes=False)
    said = str(error.value).splitlines()
    assert [line.strip() for line in said[1:-1]] == lines
    assert "allow_changes=true" in said[-1]
    assert written(tmp_path) == STUDY


def test_what_changes_no_result_may_change_and_the_beginning_stays_noted(tmp_path):
    started(tmp_path, STUDY, allow_changes=False)
    started(
        tmp_path, changed(n_trials=32, pruner={"name": "none"}, created="2026-02-02", commit="def"), allow_changes=False
    )
    assert written(tmp_path) == changed(n_trials=32, pruner={"name": "none"})


def test_changes_that_are_allowed_are_taken_and_noted(tmp_path):
    started(tmp_path, STUDY, allow_changes=False)
    started(tmp_path, changed(metric="dev/loss"), allow_changes=True)
    started(tmp_path, changed(metric="dev/loss"), allow_changes=False)
    assert written(tmp_path) == changed(metric="dev/loss") | {"changes": ['metric: "dev/acc" -> "dev/loss"']}


@pytest.mark.parametrize("key", ["optimizer.learning_rate", "+optimizer.learning_rate"])
def test_values_and_factors_of_one_key_are_not_mixed_even_where_changes_are_allowed(tmp_path, key):
    started(tmp_path, STUDY, allow_changes=False)
    with pytest.raises(ConfigError, match=r"its trials have optimizer.learning_rate as a factor .*study_name"):
        started(tmp_path, changed(space={key: "tag(log,factor,interval(0.1,10.0))"}), allow_changes=True)


def test_a_long_list_of_changes_is_cut_short(tmp_path):
    started(tmp_path, STUDY, allow_changes=False)
    with pytest.raises(ConfigError, match=r"… and \d+ more"):
        started(tmp_path, changed(base={f"key{n}": n for n in range(40)}), allow_changes=False)


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [1"])
def test_a_damaged_description_is_refused(tmp_path, content):
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(FileError, match="is damaged"):
        started(tmp_path, STUDY, allow_changes=False)


def test_a_change_that_something_else_refuses_later_is_not_written(tmp_path):
    started(tmp_path, STUDY, allow_changes=False)
    check_same(tmp_path, changed(metric="dev/loss"), allow_changes=True)
    assert written(tmp_path) == STUDY


@pytest.mark.parametrize("before", [None, "sqlite:////a/x.db", "postgresql://me@host/db"])
def test_another_storage_is_another_study(tmp_path, before):
    started(tmp_path, changed(storage=before), allow_changes=False)
    with pytest.raises(ConfigError, match='-> "postgresql://me@other/db"'):
        check_same(tmp_path, changed(storage="postgresql://me@other/db"), allow_changes=False)


def test_a_study_whose_storage_was_written_with_a_masked_password_resumes_without_one(tmp_path):
    started(tmp_path, changed(storage="postgresql://me:***@host/db"), allow_changes=False)
    check_same(tmp_path, changed(storage="postgresql://me@host/db"), allow_changes=False)


def resolved(stamp, path, seed=0):
    config_dict = {"stamp": stamp, "model": {"path": path, "size": 1}, "again": {"path": path}, "seed": seed}
    texts = {"stamp": "${now:%H%M%S}", "model.path": "${oc.env:HERE}/x", "again": "${.inner}"}
    return changed(base=config_dict, interpolations=texts)


def test_a_time_or_an_environment_variable_in_the_base_may_be_another_at_the_restart(tmp_path):
    started(tmp_path, resolved("120000", "/a/x"), allow_changes=False)
    check_same(tmp_path, resolved("120001", "/b/x"), allow_changes=False)
    with pytest.raises(ConfigError) as error:
        check_same(tmp_path, resolved("120001", "/b/x", seed=1), allow_changes=False)
    assert [line.strip() for line in str(error.value).splitlines()[1:-1]] == ["base.seed: 0 -> 1"]
    typed = resolved("120000", "/a/x") | {"interpolations": {}}
    with pytest.raises(ConfigError, match="base.stamp"):
        check_same(tmp_path, typed | {"base": typed["base"] | {"stamp": "typed"}}, allow_changes=False)


def test_the_interpolations_of_an_app_are_found_by_name_and_not_those_of_hydra():
    config = OmegaConf.create(
        {"a": {"b": "${now:%S}", "c": 1}, "d": "${a}", "e": ["x", "${a.c}"], "hydra": {"f": "${a.c}"}}
    )
    assert interpolations(config) == {"a.b": "${now:%S}", "d": "${a}", "e": ["x", "${a.c}"]}


@pytest.fixture
def trial_folder(tmp_path):
    folder = tmp_path / "trials" / "3"
    folder.mkdir(parents=True)
    (folder / "overrides.yaml").write_text(yaml.safe_dump(["fixed=1", "x=0.5"]))
    return folder


def test_the_folder_of_a_trial_stays_and_that_of_another_makes_way_with_all_it_has(tmp_path, trial_folder):
    assert set_aside(trial_folder, ["x=0.5"]) is None
    (trial_folder / "result.json").write_text('{"status": "complete"}')
    assert set_aside(trial_folder, ["x=0.7"]) == tmp_path / "set_aside" / "3-0"
    assert not trial_folder.exists() and Mailbox(tmp_path / "set_aside" / "3-0").is_finished()
    assert set_aside(trial_folder, ["x=0.7"]) is None
    trial_folder.mkdir()
    (trial_folder / "overrides.yaml").write_text("")
    assert set_aside(trial_folder, ["x=0.7"]) == tmp_path / "set_aside" / "3-1"


def test_a_trial_whose_list_of_overrides_is_damaged_is_known_by_its_other_file(trial_folder):
    (trial_folder / "hydra.yaml").write_text("hydra: {overrides: {task: [fixed=1, x=0.5]}}")
    for content in ("", "[1, 2]", "x: [", "\0"):
        (trial_folder / "overrides.yaml").write_text(content)
        assert set_aside(trial_folder, ["x=0.5"]) is None
    assert set_aside(trial_folder, ["x=0.7"]) is not None


def test_everything_that_is_damaged_of_unfinished_trials_is_told_at_once(tmp_path, trial_folder):
    check_unfinished(tmp_path, [3, 4])
    for name in ("config.yaml", "hydra.yaml", "job.json"):
        (trial_folder / name).write_text("[")
    (trial_folder / "reports.jsonl").mkdir()
    with pytest.raises(FileError) as error:
        check_unfinished(tmp_path, [3, 4])
    lines = str(error.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{trial_folder}/job.json is damaged",
        f"{trial_folder}/reports.jsonl cannot be read",
        f"{trial_folder}/config.yaml is damaged",
        f"{trial_folder}/hydra.yaml is damaged",
    ]
    assert "squeue" in lines[0] and "Delete the trial's config.yaml" in lines[2]


def test_a_folder_in_which_another_trials_job_may_still_write_is_refused_with_the_job(trial_folder):
    Mailbox(trial_folder).add_submission(Submission(0, "token", "4711", "slurm", "login1", 0, 0.0))
    with pytest.raises(ConfigError, match="slurm 4711 on login1"):
        set_aside(trial_folder, ["x=0.7"])
    assert trial_folder.exists()


def test_a_second_controller_is_refused_with_the_process_of_the_first(tmp_path):
    first = f"{tmp_path} is already controlled by process {os.getpid()} on {platform.node()}. Stop that one first, or "
    with only_controller(tmp_path), pytest.raises(ConfigError, match=re.escape(first)), only_controller(tmp_path):
        pass
    with only_controller(tmp_path):
        pass


def test_a_study_stored_under_old_names_of_keys_is_the_same_study(tmp_path):
    (tmp_path / "study.yaml").write_text("base: {peft: {r: 8, trains: adapter}}\nspace: {peft.r: 'choice(4,8)'}\n")
    now = {"base": {"peft": {"rank": 8, "trainable": "adapter"}}, "space": {"peft.rank": "choice(4,8)"}}
    assert check_same(tmp_path, now, allow_changes=False) == now
