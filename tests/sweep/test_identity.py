"""Whether a folder is still the same study, and who controls it."""

import os
import platform
import signal
import subprocess
import sys

import pytest
import yaml

from mcqa.errors import ConfigError
from mcqa.sweep.identity import check_same, only_controller

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


def changed(**changes):
    return STUDY | changes


def test_the_first_time_is_written_down_and_the_same_again_is_let_through(tmp_path):
    check_same(tmp_path / "new", STUDY, allow_changes=False)
    assert written(tmp_path / "new") == STUDY
    check_same(tmp_path / "new", STUDY, allow_changes=False)
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
    check_same(tmp_path, STUDY, allow_changes=False)
    with pytest.raises(ConfigError) as error:
        check_same(tmp_path, description, allow_changes=False)
    said = str(error.value).splitlines()
    assert [line.strip() for line in said[1:-1]] == lines
    assert "allow_changes=true" in said[-1]
    assert written(tmp_path) == STUDY


def test_what_changes_no_result_may_change_and_the_beginning_stays_noted(tmp_path):
    check_same(tmp_path, STUDY, allow_changes=False)
    check_same(
        tmp_path, changed(n_trials=32, pruner={"name": "none"}, created="2026-02-02", commit="def"), allow_changes=False
    )
    assert written(tmp_path) == changed(n_trials=32, pruner={"name": "none"})


def test_changes_that_are_allowed_are_taken_and_noted(tmp_path):
    check_same(tmp_path, STUDY, allow_changes=False)
    check_same(tmp_path, changed(metric="dev/loss"), allow_changes=True)
    check_same(tmp_path, changed(metric="dev/loss"), allow_changes=False)
    assert written(tmp_path) == changed(metric="dev/loss") | {"changes": ['metric: "dev/acc" -> "dev/loss"']}


def test_a_long_list_of_changes_is_cut_short(tmp_path):
    check_same(tmp_path, STUDY, allow_changes=False)
    with pytest.raises(ConfigError, match=r"… and \d+ more"):
        check_same(tmp_path, changed(base={f"key{n}": n for n in range(40)}), allow_changes=False)


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [1"])
def test_a_damaged_description_is_refused(tmp_path, content):
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(ConfigError, match="is damaged"):
        check_same(tmp_path, STUDY, allow_changes=False)


@pytest.fixture
def holder(tmp_path):
    """Another process that controls the study until it is killed."""
    code = (
        "import sys, time, pathlib\n"
        "from mcqa.sweep.identity import only_controller\n"
        "with only_controller(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_controller_is_refused_and_told_of_the_first_until_that_is_killed(tmp_path, holder):
    with pytest.raises(ConfigError, match=f"by process {holder.pid} on {platform.node()}"), only_controller(tmp_path):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with only_controller(tmp_path):
        assert str(os.getpid()) in (tmp_path / "controller.json").read_text()


def test_the_lock_is_given_back_also_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), only_controller(tmp_path):
        raise RuntimeError
    with only_controller(tmp_path):
        pass
