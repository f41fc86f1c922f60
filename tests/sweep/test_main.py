"""Whole studies of small apps through Hydra, in this process and in many."""

import csv
import errno
import json
import os
import re
import shutil
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import optuna
import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from sqlalchemy.exc import OperationalError

from mcqa.config.errors import ConfigError, SweepError
from mcqa.runs import looks, trial
from mcqa.runs.environment import commit_of
from mcqa.runs.files import read_json, read_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep import dry_run, start
from mcqa.sweep.loop import Loop
from mcqa.sweep.optuna_study.study import OptunaStudy
from mcqa.sweep.study_folder import only_controller
from tests.sweep.commands import APP, config_of, ended, kill, result, start_study, until


def value_of_x(cfg):
    return cfg.x


def stored(study):
    journal = optuna.storages.journal.JournalFileBackend(str(study / "journal.log"))
    return optuna.load_study(study_name=study.name, storage=optuna.storages.JournalStorage(journal)).trials


def table(study):
    with (study / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_study_runs_its_trials_from_the_default_on_and_leaves_its_answer(app, tmp_path, capsys):
    params = "+hydra.sweeper.params={x:'interval(0,1)',y:'1,2'}"
    arguments = (params, "seed=5", "hydra.sweeper.n_trials=4", "hydra.sweeper.study_name=s", "hydra.sweeper.metric=m")
    study = app(value_of_x, *arguments) / "s"
    assert config_of(study, 0) == {
        "x": 0.5, "y": 1, "do": "return", "seed": 5, "dry_run": False, "kind": {"name": "plain"}
    }  # fmt: skip
    trials = stored(study)
    assert [each.value for each in trials] == [result(study, n)["value"] for n in range(4)]
    assert [each.params["x"] for each in trials] == [config_of(study, n)["x"] for n in range(4)]
    description = read_yaml(study / "study.yaml")
    assert description["space"] == {"x": "interval(0.0,1.0)", "y": "choice(1,2)"}
    assert (description["metric"], description["directions"]) == ("m", ["maximize"])
    best = max(trials, key=lambda each: each.value)
    answer = read_yaml(study / "optimization_results.yaml")
    assert (answer["best_value"], answer["best_params"]) == (best.value, best.params)
    assert (study / "report.html").stat().st_size > 10_000
    assert yaml.safe_load((study / "best.yaml").read_text())["x"] == best.params["x"]
    printed = capsys.readouterr().out
    assert f"best {best.value:.4g} (trial {best.number})" in printed
    assert "Report: studies/s/report.html" in printed


@pytest.mark.slow
def test_more_trials_are_asked_for_with_the_same_suggestions_and_none_is_repeated(app):
    arguments = ("x=interval(0,1)", "hydra.sweeper.study_name=s")
    seen = []
    task = lambda cfg: seen.append(cfg.x) or cfg.x  # noqa: E731
    study = app(task, *arguments, "hydra.sweeper.n_trials=2") / "s"
    app(task, *arguments, "hydra.sweeper.n_trials=3")
    app(task, *arguments, "hydra.sweeper.n_trials=3")
    app(task, *arguments, "hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=straight")
    assert seen[:3] == seen[3:] and len(seen) == 6 and len(set(seen)) == 3
    assert len(stored(study)) == 3


def test_a_cluster_that_refuses_for_a_moment_ends_a_new_study_but_none_that_resumes(app, monkeypatch):
    arguments = ("x=interval(0,1)", "hydra.sweeper.study_name=s", "hydra.sweeper.n_trials=2")
    answers = [["no node answers"], [], ["no node answers"], ["no node answers"], []]
    monkeypatch.setattr(dry_run, "check", lambda *_: answers.pop(0))
    retry_at_once = partial(start.refuse_what_cannot_run, sleep=lambda seconds: None)
    monkeypatch.setattr(start, "refuse_what_cannot_run", retry_at_once)
    with pytest.raises(ConfigError, match="no node answers"):
        app(value_of_x, *arguments)
    app(value_of_x, *arguments)
    study = app(value_of_x, *arguments[:2], "hydra.sweeper.n_trials=3") / "s"
    assert not answers and len(stored(study)) == 3


def test_every_kind_of_failure_is_a_failed_trial_with_its_reason(app):
    def task(cfg):
        match cfg.do:
            case "raise":
                raise ValueError("no such luck")
            case "exit":
                sys.exit("bad option")
            case "memory":
                raise MemoryError
            case "no number":
                return float("nan")
            case "none":
                return None
            case "two":
                return 1.0, 2.0
        return cfg.x

    study = app(task, "hydra/sweeper/sampler=grid", "do=raise,exit,memory,no number,none,two,return") / "app"
    errors = {
        "raise": "ValueError: no such luck",
        "exit": "bad option",
        "memory": "MemoryError",
        "no number": "value is nan",
        "none": "the trial returned no value; a study needs one number",
        "two": "the trial returned 2 values; a study needs one number",
    }
    trials = stored(study)
    assert {each.params["do"]: each.user_attrs.get("error") for each in trials} == errors | {"return": None}
    assert [each.state.name for each in trials] == ["FAIL"] * 6 + ["COMPLETE"]
    assert {row["do"]: row["error"] for row in table(study)} == errors | {"return": ""}


def conditional(trial, config):
    return {"nowhere": 1} if trial.params["x"] == 0.2 else {"y": 2}


def test_a_trial_that_cannot_be_composed_fails_alone(app):
    function = f"hydra.sweeper.function={__name__}.conditional"
    study = app(value_of_x, "x=0.1,0.2,0.3", function, "hydra.sweeper.n_trials=4", "hydra.sweeper.seed=1") / "app"
    states = [(each.params["x"], each.state.name) for each in stored(study)]
    assert set(states) <= {(0.1, "COMPLETE"), (0.2, "FAIL"), (0.3, "COMPLETE")} and (0.2, "FAIL") in states
    assert "nowhere" in next(each.user_attrs["error"] for each in stored(study) if each.params["x"] == 0.2)


def test_too_many_failures_end_the_study_early(app):
    def task(cfg):
        raise ValueError(f"not with {cfg.y}")

    arguments = ("hydra/sweeper/sampler=grid", "y=range(0,9)", "hydra.sweeper.max_failures=1")
    with pytest.raises(
        SweepError, match=r"Too many failures \(.*=1\) after 2 trials(.|\n)*trial 1: ValueError: not with 1"
    ):
        app(task, *arguments)
    assert len(list(Path("studies/app/trials").iterdir())) == 2


def test_a_study_whose_trials_all_failed_is_an_error_at_every_start_until_one_succeeds(app):
    def task(cfg):
        raise ValueError("no such file" if cfg.y < 3 else f"other\nsomething {cfg.y}")

    arguments = ("hydra/sweeper/sampler=grid", "y=1,2,3")
    for _ in range(2):
        with pytest.raises(SweepError) as raised:
            app(task, *arguments)
        assert str(raised.value) == (
            "All trials failed (3), 2 of them with: ValueError: no such file\n"
            "Their logs are listed by python -m mcqa.jobs studies/app. A study learns from failed trials and runs none "
            "of them again: once the cause is removed, give a larger hydra.sweeper.n_trials, or another "
            "hydra.sweeper.study_name to begin anew."
        )


def test_a_study_of_which_some_trials_failed_ends_well_and_its_summary_counts_them(app, capsys):
    app(lambda cfg: 1 / cfg.y, "hydra/sweeper/sampler=grid", "y=0,1,2")
    assert "Note: 1 of 3 trials failed, with: ZeroDivisionError: division by zero\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left"), "{study}: No space left. Make room there, or ask for a higher quota."),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), "/a/b: Read-only file system."),
        (OperationalError("INSERT", {}, Exception("disk is full")), "hydra.sweeper.storage: .* disk is full."),
    ],
)
def test_a_disk_that_refuses_ends_a_study_with_the_place_and_the_command_that_resumes_it(
    app, monkeypatch, error, message
):
    def tell(self, number, outcome):
        raise error

    arguments = ("x=interval(0,1)", "hydra.sweeper.n_trials=2")
    with monkeypatch.context() as patched:
        patched.setattr(OptunaStudy, "tell", tell)
        with pytest.raises(SweepError) as raised:
            app(value_of_x, *arguments)
    first, command = str(raised.value).splitlines()
    assert re.match(message.format(study=Path("studies/app").absolute()) + " What has ended is kept", first)
    assert command == "  python app.py --multirun 'x=interval(0,1)' hydra.sweeper.n_trials=2"
    assert len(stored(app(value_of_x, *arguments) / "app")) == 2


def test_ctrl_c_in_a_trial_of_this_process_says_how_to_resume_its_jobs(app):
    def task(cfg):
        raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"Resume with:\n  python app.py --multirun y=1,2 hydra.*study_name=app-"
    ):
        app(task, "y=1,2")


@pytest.mark.slow
def test_a_study_whose_first_trials_fail_identically_is_ended_and_resumes_once_that_is_fixed(app):
    def task(cfg):
        raise OSError(f"no GPU on node{trial.current().folder.name}")

    arguments = ("x=interval(0,1)", "hydra.sweeper.n_trials=9")
    with pytest.raises(SweepError) as raised:
        app(task, *arguments)
    assert str(raised.value).startswith(
        "The first ones all failed with the same error, so no more were started. Ended after 3 of 9 trials; see "
        "studies/app. The same command resumes.\n  3 of 3 trials failed:\n  trial 0: OSError: no GPU on node0\n"
    )
    states = [each.state.name for each in stored(app(value_of_x, *arguments) / "app")]
    assert states == ["FAIL"] * 3 + ["COMPLETE"] * 6


def test_a_study_that_times_out_says_how_far_it_came_and_that_the_same_command_resumes(app):
    arguments = ("x=interval(0,1)", "hydra.sweeper.n_trials=3", "hydra.sweeper.timeout_s=1e-9")
    with pytest.raises(SweepError) as raised:
        app(value_of_x, *arguments)
    assert str(raised.value) == (
        "Timeout (hydra.sweeper.timeout_s=1e-09) after 0 of 3 trials; see studies/app. The same command resumes."
    )


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (
            ("hydra/sweeper/sampler=grid",),
            r"^Stopped by Ctrl-C after 1 trials; .*The same command resumes:\n  python app.py --multirun x=.*=grid$",
        ),
        (
            (),
            r"^Stopped by Ctrl-C after 1 of 3 jobs; see studies/(\S+)\. .* hydra\.sweeper\.study_name=\1 resumes:\n"
            r"  python app\.py --multirun x=0\.1,0\.2,0\.3 hydra\.sweeper\.poll_s=\S+ hydra\.sweeper\.study_name=\1$",
        ),
    ],
)
def test_ctrl_c_between_two_trials_is_an_error_and_claims_of_none_that_it_keeps_running(
    app, monkeypatch, capsys, study, message
):
    seen = []

    def sleep(seconds, really=time.sleep):
        os.kill(os.getpid(), signal.SIGINT) if seconds == 0.123 else really(seconds)  # the loop between two rounds

    monkeypatch.setattr(start, "Loop", partial(Loop, sleep=sleep))
    with pytest.raises(SweepError, match=message):
        app(lambda cfg: seen.append(cfg.x) or cfg.x, "x=0.1,0.2,0.3", "hydra.sweeper.poll_s=0.123", *study)
    assert seen == [0.1, 0.2]  # of which the second is message by the next start
    assert not re.search(r"\bkeeps? running\b", capsys.readouterr().out)


def test_a_combination_that_cannot_be_composed_fails_alone_even_if_it_comes_first(app):
    bad = Path("conf/kind/odd.yaml")
    bad.write_text("other: odd\n")
    study = app(value_of_x, "hydra/sweeper/sampler=grid", "kind=odd,plain", "kind.name=a,b") / "app"
    assert [each.state.name for each in stored(study)] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]


def test_a_result_json_of_the_app_s_own_is_kept_or_fails_the_trial_with_a_reason_and_never_the_study(app):
    def task(cfg):
        file = Path(HydraConfig.get().runtime.output_dir) / "result.json"
        file.write_text(json.dumps({"plain": {"acc": 0.9}, "odd": {"status": "ok"}}[cfg.kind.name]))
        return cfg.x

    study = app(task, "hydra/sweeper/sampler=grid", "kind=plain,odd") / "app"
    assert [each.state.name for each in stored(study)] == ["COMPLETE", "FAIL"]
    assert "status 'ok'" in stored(study)[1].user_attrs["error"]
    assert result(study, 0).items() >= {"acc": 0.9, "status": "complete", "value": 0.5}.items()


def test_a_point_below_0_fails_its_trial_and_not_the_study(app):
    def task(cfg):
        trial.current().report(cfg.x, point=-1 if cfg.x == 0.1 else 1)
        return cfg.x

    study = app(task, "hydra/sweeper/sampler=grid", "hydra/sweeper/pruner=median", "x=0.1,0.2") / "app"
    assert [each.state.name for each in stored(study)] == ["FAIL", "COMPLETE"]
    assert "point=-1" in stored(study)[0].user_attrs["error"]


def test_hydra_reports_a_mistake_without_a_traceback_too(app, monkeypatch, capsys):
    monkeypatch.delenv("HYDRA_FULL_ERROR")
    with pytest.raises(SystemExit):
        app(value_of_x, "nope=interval(0,1)", "hydra.sweeper.n_trials=2")
    printed = capsys.readouterr().err
    assert "the configuration has no nope" in printed and "Traceback" not in printed


def test_a_grid_does_not_say_that_its_first_point_is_the_default(app, capsys):
    app(value_of_x, "hydra/sweeper/sampler=grid", "x=0.1,0.5")
    printed = capsys.readouterr().out
    assert "one of the trials is the default configuration" in printed and "trial 0 is the default" not in printed


def test_several_objectives_are_refused_before_anything_is_written(app, tmp_path):
    with pytest.raises(ConfigError, match="a study has one objective"):
        app(value_of_x, "hydra.sweeper.direction=[maximize,minimize]", "x=0.1,0.3", "hydra/sweeper/sampler=grid")
    assert not (tmp_path / "studies").exists()


def test_a_dry_run_says_what_would_be_studied_and_writes_nothing(app, capsys):
    studies = app(value_of_x, "dry_run=true", "x=interval(0,1)", "hydra.sweeper.n_trials=9", "y=2,3")
    printed = capsys.readouterr().out
    assert "9 trials, 1 at a time; tpe sampler, no pruner; maximize" in printed
    assert "x: interval(0.0,1.0)" in printed and "y=1" in printed
    assert not studies.exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+hydra.sweeper.n_trails=3"], r"hydra\.sweeper\.n_trails: unknown key. Did you mean 'n_trials'"),
        (["hydra.sweeper.n_jobs=0"], r"hydra\.sweeper\.n_jobs: must be at least 1"),
        (["hydra.sweeper.direction=up"], r"hydra\.sweeper\.direction: must be"),
        (["hydra.sweeper.sampler.name=tpee"], "Did you mean 'tpe'"),
        (["+hydra.sweeper.pruner.patience=3"], r"hydra\.sweeper\.pruner"),
        (["xx=interval(0,1)"], "Did you mean 'x'"),
        (["x=0.1"], "nothing varies"),
        (["hydra/launcher=joblib_like"], "joblib_like"),
    ],
)
def test_a_mistake_is_reported_before_the_study_starts_and_does_not_spoil_it(app, overrides, message):
    with pytest.raises(Exception, match=message):
        app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=2", *overrides)
    assert not list(Path.cwd().glob("studies/*/study.yaml"))


def test_a_study_keeps_its_name_where_hydra_s_folders_are_named_after_the_time(app):
    arguments = ("x=interval(0,1)", "hydra.sweep.dir='multirun/${now:%H-%M-%S-%f}'", "hydra.sweeper.n_trials=1")
    app(value_of_x, *arguments)
    app(value_of_x, *arguments)
    assert [path.name for path in Path("multirun").iterdir()] == ["app"]


@pytest.mark.slow
def test_a_changed_space_or_configuration_is_refused_unless_allowed(app):
    name = "hydra.sweeper.study_name=s"
    study = app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=1", name) / "s"
    for dry in ("dry_run=false", "dry_run=true"):
        with pytest.raises(ConfigError, match=r"(?s)space\.x: .*interval\(0.*-> .*interval\(0.*2.*base\.y: 1 -> 2"):
            app(value_of_x, "x=interval(0,2)", "y=2", "hydra.sweeper.n_trials=2", name, dry)
    app(pytest.fail, "x=interval(0,1)", "hydra.sweeper.n_trials=2", name, "dry_run=true")
    allowed = "hydra.sweeper.allow_changes=true"
    app(value_of_x, "x=interval(0,2)", "y=2", "hydra.sweeper.n_trials=2", name, allowed)
    assert [config_of(study, number)["y"] for number in range(2)] == [1, 2]
    assert len(read_yaml(study / "study.yaml")["changes"]) >= 2


def test_what_was_submitted_is_what_runs_also_after_the_yaml_was_edited(app, tmp_path):
    seen = []

    def task(cfg):
        seen.append((cfg.x, cfg.y))
        if len(seen) == 1:
            raise KeyboardInterrupt  # Ctrl-C while stepping through: the trial has no result
        return cfg.x

    arguments = ("x=interval(0,1)", "hydra.sweeper.n_trials=2", "hydra.sweeper.allow_changes=true")
    with pytest.raises(KeyboardInterrupt):
        app(task, *arguments)
    config = tmp_path / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("y: 1", "y: 2"))
    app(task, *arguments)
    assert [y for _, y in seen] == [1, 1, 2]
    assert seen[0] == seen[1]


@pytest.mark.slow
def test_a_shuffled_list_does_not_refuse_its_own_restart(app):
    arguments = ("y=shuffle(1,2,3,4,5,6,7,8)", "hydra/sweeper/sampler=grid", "hydra.sweeper.seed=1")
    study = app(value_of_x, *arguments, "hydra.sweeper.n_trials=4") / "app"
    for _ in range(2):
        app(value_of_x, *arguments, "hydra.sweeper.n_trials=8")
    assert sorted(config_of(study, number)["y"] for number in range(8)) == list(range(1, 9))


def test_other_choices_are_refused_before_anything_is_written_and_the_study_resumes_without_them(app):
    arguments = ("hydra.sweeper.study_name=s", "hydra.sweeper.allow_changes=true")
    study = app(value_of_x, "y=1,2", "hydra.sweeper.n_trials=1", *arguments) / "s"
    before = (study / "study.yaml").read_text()
    with pytest.raises(ConfigError, match=r"y: choice\(1,2\) -> choice\(1,2,3\)"):
        app(value_of_x, "y=1,2,3", "hydra.sweeper.n_trials=2", *arguments)
    assert (study / "study.yaml").read_text() == before
    app(value_of_x, "y=1,2", "hydra.sweeper.n_trials=2", *arguments)
    assert len(stored(study)) == 2


def test_a_renamed_folder_is_still_the_same_study(app, tmp_path):
    arguments = ("x=interval(0,1)", "hydra.sweeper.storage=sqlite:///study.db")
    study = app(value_of_x, *arguments, "hydra.sweeper.n_trials=2", "hydra.sweeper.study_name=one") / "one"
    first = [config_of(study, number)["x"] for number in range(2)]
    study = study.rename(study.with_name("two"))
    app(value_of_x, *arguments, "hydra.sweeper.n_trials=3", "hydra.sweeper.study_name=two")
    trials = optuna.load_study(study_name="one", storage=f"sqlite:///{tmp_path}/study.db").trials
    assert [each.value for each in trials] == [config_of(study, number)["x"] for number in range(3)]
    assert [each.value for each in trials[:2]] == first


def test_one_storage_is_not_controlled_from_two_folders(app):
    arguments = ("x=interval(0,1)", "hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.study_name=s")
    app(value_of_x, *arguments, "hydra.sweeper.n_trials=1", "hydra.sweep.dir=here/s")
    with pytest.raises(ConfigError, match=f"belongs to {Path('here/s').absolute()}"):
        app(lambda cfg: pytest.fail("it ran"), *arguments, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=there/s")


@pytest.mark.slow
def test_another_storage_is_refused_and_where_allowed_no_trial_takes_the_result_of_another(app, tmp_path, capsys):
    arguments = ("x=interval(0,1)", "hydra.sweeper.seed=null")
    study = app(value_of_x, *arguments, "hydra.sweeper.n_trials=3") / "app"
    before = [config_of(study, number)["x"] for number in range(3)]
    arguments = (*arguments, "hydra.sweeper.n_trials=3", "hydra.sweeper.storage=sqlite:///study.db")
    with pytest.raises(ConfigError, match=r"storage: \(absent\) -> \"sqlite:///.*study.db"):
        app(value_of_x, *arguments)
    app(value_of_x, *arguments, "hydra.sweeper.allow_changes=true")
    trials = optuna.load_study(study_name="app", storage=f"sqlite:///{tmp_path}/study.db").trials
    assert [each.value for each in trials] == [config_of(study, number)["x"] for number in range(3)]
    aside = [read_yaml(study / "set_aside" / f"{number}-0" / "config.yaml")["x"] for number in (1, 2)]
    assert aside == before[1:] and trials[0].value == before[0]  # the default is the same in both
    assert "the folder of trial 1 was another trial's" in capsys.readouterr().out.replace("\n", " ")


def test_a_time_in_the_configuration_does_not_refuse_the_restart(app, tmp_path):
    config = tmp_path / "conf" / "config.yaml"
    config.write_text(config.read_text() + "stamp: ${now:%H%M%S%f}\nhome: ${oc.env:SOME_HOME,a}\n")
    app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=1")
    study = app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=2") / "app"
    assert [each.state.name for each in stored(study)] == ["COMPLETE"] * 2
    with pytest.raises(ConfigError, match="base.stamp"):
        app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=3", "stamp=typed")


def test_a_function_that_fails_costs_one_trial(app):
    study = app(
        value_of_x, "y=1,2", "hydra.sweeper.n_trials=6", "hydra.sweeper.seed=3",
        f"hydra.sweeper.function={__name__}.only_with_1",
    ) / "app"  # fmt: skip
    states = {each.params["y"]: each.state.name for each in stored(study)}
    assert states == {1: "COMPLETE", 2: "FAIL"}
    assert {row["error"] for row in table(study) if row["status"] == "failed"} == {
        f"hydra.sweeper.function={__name__}.only_with_1: RuntimeError: not with 2"
    }


def only_with_1(trial, config):
    if trial.params["y"] == 2:
        raise RuntimeError("not with 2")


def test_the_report_of_a_relative_storage_is_made_from_any_folder(app, tmp_path, monkeypatch):
    from mcqa.sweep.report import write

    study = app(
        value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=2", "hydra.sweeper.storage=sqlite:///study.db"
    ).absolute() / "app"  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert write.write_report(study).problems == ()


def test_a_storage_with_a_password_is_refused_before_anything_is_written(app, tmp_path):
    with pytest.raises(ConfigError, match="PGPASSWORD"):
        app(
            value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=2", "hydra.sweeper.storage='pg://me:secret@host/db'"
        )  # fmt: skip
    assert not (tmp_path / "studies").exists()


def test_multirun_yaml_is_that_of_hydra_s_own_sweeper(app, tmp_path):
    app(value_of_x, "x=0.1,0.2", "hydra.sweep.dir=ours")
    app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=1", "hydra.sweep.dir=study")
    app(value_of_x, "x=0.1,0.2", "hydra.sweep.dir=theirs", "hydra/sweeper=basic")
    ours, study, theirs = (read_yaml(Path(name) / "multirun.yaml") for name in ("ours", "study", "theirs"))
    assert list(ours) == list(study) == list(theirs) and list(ours["hydra"]) == list(theirs["hydra"])
    assert ours["hydra"]["overrides"]["task"] == theirs["hydra"]["overrides"]["task"]
    assert (ours["x"], ours["kind"]) == (theirs["x"], theirs["kind"]) == (0.5, {"name": "plain"})
    assert [Path(name, "multirun.yaml").stat().st_mode & 0o777 for name in ("ours", "study")] == [0o600, 0o600]


def test_code_that_changed_between_two_starts_is_noted_at_the_start_and_in_the_report(app, monkeypatch, capsys):
    commits = iter(["a" * 40, "b" * 40 + "+dirty"])
    for number in (2, 4):
        commit = next(commits)
        monkeypatch.setattr("mcqa.sweep.run_study.commit_of", lambda folder, commit=commit: commit)
        monkeypatch.setattr("mcqa.sweep.backends.job.commit_of", lambda folder, commit=commit: commit)
        study = app(value_of_x, "x=interval(0,1)", f"hydra.sweeper.n_trials={number}") / "app"
    printed = capsys.readouterr().out
    assert "the study began on commit aaaaaaa and resumes on bbbbbbb+dirty" in printed
    assert "The code changed during the study: trials 0–1 on aaaaaaa, 2–3 on bbbbbbb+dirty." in printed
    assert "2–3 on bbbbbbb+dirty" in (study / "report.html").read_text()


def test_a_second_controller_is_refused_with_the_process_of_the_first_one(app, tmp_path):
    with only_controller(tmp_path / "studies" / "s"), pytest.raises(ConfigError, match=f"process {os.getpid()} on"):
        app(value_of_x, "x=interval(0,1)", "hydra.sweeper.n_trials=1", "hydra.sweeper.study_name=s")


def test_an_app_s_hooks_check_complete_steer_and_are_notified(app):
    class Hooks:
        def __init__(self):
            self.told_of, self.summary, self.params = [], None, None

        def complete(self, config_dict, overrides):
            config_dict["filled"] = config_dict["x"] * 2
            return ["x: too large"] if config_dict["x"] > 0.8 else []

        def check(self, config_dict, space, metric, pruner):
            return [f"{pruner}: not here"] if pruner != "none" else []

        def direction(self, config_dict):
            return "minimize"

        def observers(self, config_dict, folder, params):
            self.params = params
            return [self]

        def tick(self, running): ...

        def trial_ended(self, folder, outcome):
            self.told_of.append((int(folder.name), outcome.status))

        def finished(self, summary, complete):
            self.summary = summary, complete

    seen = []

    def task(cfg):
        seen.append(cfg.filled)
        return cfg.x

    task.hooks = hooks = Hooks()
    arguments = ("x=0.5,0.2,0.9", "hydra/sweeper/sampler=grid")
    with pytest.raises(ConfigError, match="median: not here"):
        app(task, *arguments, "hydra/sweeper/pruner=median")
    study = app(task, *arguments) / "app"
    assert seen == [1.0, 0.4]
    assert hooks.told_of == [(0, "complete"), (1, "complete"), (2, "failed")]
    summary, complete = hooks.summary
    assert complete and (summary.best, summary.value) == (1, 0.2)
    assert hooks.params["sampler.name"] == "grid" and "base" not in hooks.params
    assert stored(study)[2].user_attrs["error"] == "x: too large"


@pytest.mark.slow
def test_confirm_runs_the_best_and_the_default_again_with_new_seeds_as_whole_runs(app, capsys):
    seen = []

    def task(cfg):
        in_study = trial.current() is not None
        seen.append((in_study, cfg.x, cfg.seed))
        if not in_study:
            metrics = {"test/acc": cfg.x + cfg.seed / 100}
            trial.write_result({"status": "complete", "value": cfg.x, "metrics": metrics})
        return cfg.x

    arguments = ("x=0.7,0.6", "hydra/sweeper/sampler=grid", "hydra.sweeper.confirm=2", "hydra.sweeper.metric=dev/acc")
    study = app(task, *arguments) / "app"
    app(task, *arguments)
    assert seen == [(True, 0.7, 0), (True, 0.6, 0)] + [(False, x, seed) for x in (0.7, 0.5) for seed in (1, 2)]
    confirmed = read_json(study / "confirm.json")
    printed = capsys.readouterr().out
    assert "most likely be worse" not in printed
    assert "Confirming" in printed and "On test, with 2 new seeds: " in printed
    assert confirmed["metric"] == "test/acc"
    values = {
        (row["trial"], row["default"]): [run["value"] for run in row["runs"]] for row in confirmed["configurations"]
    }
    assert values == {
        (0, False): [pytest.approx(0.71), pytest.approx(0.72)],
        (None, True): [pytest.approx(0.51), pytest.approx(0.52)],
    }
    assert "test/acc" in (study / "report.html").read_text()


def with_a_test_split(cfg):
    """A whole run of an app that has a test split."""
    if trial.current() is None:
        trial.write_result({"status": "complete", "value": cfg.x, "metrics": {"test/acc": cfg.x + cfg.seed / 100}})
    return cfg.x


def confirmed(study):
    """By trial and default, the values of the seeds."""
    rows = read_json(study / "confirm.json")["configurations"]
    return {(row["trial"], row["default"]): [run["value"] for run in row["runs"]] for row in rows}


GRID = ("hydra/sweeper/sampler=grid", "hydra.sweeper.metric=dev/acc")


def test_other_wishes_at_a_restart_add_to_what_is_confirmed(app):
    name = "hydra.sweeper.study_name=s"
    study = (
        app(with_a_test_split, "x=0.6,0.5", *GRID, name, "hydra.sweeper.n_trials=1", "hydra.sweeper.confirm=2") / "s"
    )
    assert list(confirmed(study)) == [(0, False), (None, True)]
    values = {0.5: 0.5, 0.6: 0.2}
    again = lambda cfg: with_a_test_split(cfg) and values[cfg.x]  # noqa: E731
    app(again, "x=0.6,0.5", *GRID, name, "hydra.sweeper.n_trials=2", "hydra.sweeper.confirm=3")
    runs = confirmed(study)
    assert runs[(0, False)] == [pytest.approx(0.61), pytest.approx(0.62), pytest.approx(0.63)]
    assert runs[(None, True)] == [pytest.approx(0.51), pytest.approx(0.52)] and runs[(1, True)] == [pytest.approx(0.53)]
    assert len(read_yaml(study / "confirm" / "jobs.yaml")) == 6


def test_each_look_at_test_is_counted_with_the_candidate_that_was_named_before(app, capsys):
    arguments = ("x=0.6,0.7", *GRID, "hydra.sweeper.study_name=s", "hydra.sweeper.confirm=2")
    study = app(with_a_test_split, *arguments, "hydra.sweeper.n_trials=1") / "s"
    assert "The candidate, named before test is looked at: trial 0, the best on dev." in capsys.readouterr().out
    app(with_a_test_split, *arguments, "hydra.sweeper.n_trials=1")  # nothing new
    assert [look["candidate"] for look in looks.read(study)] == [0]
    assert "Looks at test" not in capsys.readouterr().out
    app(with_a_test_split, *arguments, "hydra.sweeper.n_trials=2")
    first, second = looks.read(study)
    assert (second["candidate"], second["seeds"], second["by"]) == (1, [1, 2], "hydra.sweeper.confirm")
    assert "trial 1, the candidate, 71.5 %" in (page := (study / "report.html").read_text())
    assert "Looks at test in this study: 2 (hydra.sweeper.confirm, " in page
    assert "Looks at test in this study: 2 (hydra.sweeper.confirm, " in capsys.readouterr().out


@pytest.mark.slow
def test_a_confirming_run_whose_folder_is_gone_runs_again(app):
    arguments = ("x=0.7,0.6", *GRID, "hydra.sweeper.confirm=2")
    study = app(with_a_test_split, *arguments) / "app"
    shutil.rmtree(study / "confirm" / "trials" / "0")
    before = confirmed(study)
    app(with_a_test_split, *arguments)
    assert confirmed(study) == before and (study / "confirm" / "trials" / "0" / "result.json").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=null"], "whole number `seed`"),
        (["seed=1,2"], "seed is swept, .* none is a new one"),
    ],
)
def test_what_cannot_be_confirmed_is_refused_before_the_study(app, overrides, message):
    with pytest.raises(ConfigError, match=f"hydra.sweeper.confirm: .*{message}"):
        app(lambda cfg: pytest.fail("it ran"), "x=0.1,0.2", *GRID, "hydra.sweeper.confirm=2", *overrides)


def test_a_study_whose_trials_all_failed_has_its_report_and_nothing_to_confirm(app, capsys):
    study = Path("studies/app")
    with pytest.raises(SweepError, match=r"^All trials failed \(2\), with: the trial returned no value"):
        app(lambda cfg: None, "x=0.1,0.2", *GRID, "hydra.sweeper.confirm=2")
    assert "nothing to confirm" in capsys.readouterr().out
    assert (study / "report.html").exists() and not (study / "confirm.json").exists()


def test_an_app_that_measures_nothing_on_test_is_confirmed_by_what_it_returns(app):
    task = lambda cfg: cfg.x + cfg.seed / 100  # noqa: E731
    study = app(task, "x=0.7,0.6", "hydra/sweeper/sampler=grid", "hydra.sweeper.confirm=2") / "app"
    assert confirmed(study)[(0, False)] == [pytest.approx(0.71), pytest.approx(0.72)]
    page = (study / "report.html").read_text()
    assert "Confirmed with new seeds" in page and "measured as the trials were" in page and "test/" not in page


def test_a_confirming_run_that_fails_is_reported(app):
    def task(cfg):
        if trial.current() is None and cfg.seed == 2:
            raise ValueError("bad luck")
        return with_a_test_split(cfg)

    study = app(task, "x=0.7,0.6", *GRID, "hydra.sweeper.confirm=2") / "app"
    assert confirmed(study)[(0, False)] == [pytest.approx(0.71), None]
    assert "The confirmation of trial 0 with seed 2 failed: ValueError: bad luck" in (study / "report.html").read_text()


def test_the_default_is_confirmed_with_what_the_study_fixes(app):
    seen = []

    def task(cfg):
        seen.append((trial.current() is not None, cfg.x, cfg.y, cfg.seed))
        return with_a_test_split(cfg)

    app(task, "+hydra.sweeper.params={x:'0.7,0.6',y:4,seed:3}", *GRID, "hydra.sweeper.confirm=2")
    assert seen[2:] == [(False, x, 4, seed) for x in (0.7, 0.5) for seed in (4, 5)]


def test_the_option_of_a_group_without_a_name_is_confirmed_once(app, tmp_path):
    for kind in ("plain", "odd"):
        (tmp_path / "conf" / "kind" / f"{kind}.yaml").write_text(f"size: {len(kind)}\n")

    def task(cfg):
        trial.current() or trial.write_result({"status": "complete", "value": 1.0, "metrics": {"test/acc": 1.0}})
        return float(cfg.kind.size)

    study = app(task, "kind=odd,plain", *GRID, "hydra.sweeper.confirm=2") / "app"
    assert list(confirmed(study)) == [(1, True)]
    assert "Trial 1 is the default configuration" in (study / "report.html").read_text()


# --- in processes of their own


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_repeated_when_controller_and_trials_are_killed(tmp_path):
    trace = tmp_path / "trace"
    trace.mkdir()
    command = ("x=interval(0,1)", "do=wait", f"trace={trace}", "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2")
    study = tmp_path / "multirun" / "small_app"

    def starts(number):
        path = trace / str(number)
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    first = start_study(tmp_path, *command)
    until(lambda: starts(0) and starts(1), "two trials", tmp_path)
    kill(first.pid)
    first.wait()
    (trace / "go-0").touch()  # one trial ends while nobody watches, the other runs on
    until(lambda: result(study, 0), "the result of trial 0", tmp_path)
    second = start_study(tmp_path, *command)
    until(lambda: starts(2), "trial 2 in the slot of trial 0", tmp_path)
    kill(second.pid, *starts(1), *starts(2))
    second.wait()
    for number in range(1, 5):
        (trace / f"go-{number}").touch()
    ended(start_study(tmp_path, *command), tmp_path)
    assert [len(starts(number)) for number in range(5)] == [1, 2, 2, 1, 1] and not starts(5)
    assert [len(Mailbox(study / "trials" / str(n)).submissions()) for n in range(5)] == [1, 2, 2, 1, 1]
    trials = stored(study)
    assert [each.state.name for each in trials] == ["COMPLETE"] * 5
    assert [each.value for each in trials] == [config_of(study, number)["x"] for number in range(5)]
    assert len({each.value for each in trials}) == 5


@pytest.mark.slow
def test_trials_in_processes_are_pruned_die_and_know_their_code(tmp_path):
    (tmp_path / "trace").mkdir()
    ended(
        start_study(
            tmp_path, "hydra/sweeper/sampler=grid", "do=return,die,learn", f"trace={tmp_path / 'trace'}", "x=0.1",
            "hydra/sweeper/pruner=threshold", "hydra.sweeper.pruner.lower=0.2", "hydra.sweeper.n_jobs=3",
            "hydra.sweeper.max_resubmits=1", "hydra.sweep.dir=here",
        ),
        tmp_path,
    )  # fmt: skip
    study = tmp_path / "here"
    trials = stored(study)
    assert [(each.params["do"], each.state.name) for each in trials] == [
        ("return", "COMPLETE"), ("die", "FAIL"), ("learn", "PRUNED"),
    ]  # fmt: skip
    assert (
        len(Mailbox(study / "trials" / "1").submissions()) == 2 and "without a result" in trials[1].user_attrs["error"]
    )
    assert result(study, 2)["value"] == 0.1
    assert Counter(row["status"] for row in table(study)) == {"complete": 1, "failed": 1, "pruned": 1}
    commit = commit_of.__wrapped__(APP.parent)  # as it is now
    assert commit and result(study, 0)["commit"] == commit and "code_changed" not in result(study, 0)


FACTORS = ("kind=odd,plain", "x=tag(factor,choice(0.5,1,3))")


def test_a_dry_run_shows_what_factors_come_to(app, capsys):
    app(value_of_x, "x=tag(log,factor,interval(0.1,10))", "hydra.sweeper.n_trials=4", "dry_run=true")
    assert "  x: tag(log,factor,interval(0.1,10.0))\n    0.05 to 5; 0.5 is recommended\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_factor_multiplies_what_the_options_of_each_trial_recommend(app, tmp_path):
    """x follows the option of kind that the trial has."""
    (tmp_path / "conf" / "kind" / "odd.yaml").write_text("name: odd\nx: 0.2\n")
    (tmp_path / "conf" / "kind" / "plain.yaml").write_text("name: plain\nx: 4\n")
    config = tmp_path / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("x: 0.5", "x: ${kind.x}"))
    arguments = (*FACTORS, "hydra.sweeper.study_name=s", "hydra.sweeper.arms=[kind]", "hydra/sweeper/sampler=grid")
    study = app(value_of_x, *arguments) / "s"
    assert [config_of(study, number)["x"] for number in range(6)] == [0.1, 0.2, 0.6, 2, 4, 12]
    assert [each.params["x"] for each in stored(study)] == [0.5, 1, 3] * 2
    assert [float(row["x"]) for row in table(study)] == [0.1, 0.2, 0.6, 2, 4, 12]
    assert [row["arm"] for row in csv.DictReader((study / "arms.csv").open())] == ["kind=plain", "kind=odd"]
    assert yaml.safe_load((study / "best.yaml").read_text())["x"] == 12
    again = ("x=0.5,1,3", *arguments[:1], *arguments[2:], "hydra.sweeper.allow_changes=true")
    with pytest.raises(ConfigError, match="its trials have x as a factor of the recommended value"):
        app(value_of_x, *again)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("hydra.sweeper.arms=[y]",), "arms: y is not swept by a list; such keys are kind, x"),
        (("hydra.sweeper.n_trials=5",), "n_trials=5: the arms have 6 trials together"),
        (("hydra/sweeper/pruner=median",), "each arm is trained to its end; use hydra/sweeper/pruner=none"),
        (("hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=6"), "the same trials only in a grid"),
        (("seed=1,2",), "the seed is swept, so the luckiest one of each arm would count"),
    ],
)
def test_arms_that_would_be_treated_unequally_are_refused(app, more, said):
    given = ("hydra/sweeper/sampler=grid", "hydra.sweeper.arms=[kind]")
    names = [text.partition("=")[0] for text in more]
    kept = [text for text in given if text.partition("=")[0] not in names]
    with pytest.raises(ConfigError, match=said):
        app(value_of_x, *FACTORS, *kept, *more)


def test_a_factor_of_what_is_no_number_is_refused_before_anything_runs(app):
    with pytest.raises(ConfigError, match="do: a factor needs a number other than 0 to multiply; .* has 'return'"):
        app(value_of_x, "do=tag(factor,choice(1,2))", "hydra/sweeper/sampler=grid")
