"""Multiruns without a study, through Hydra: every job once, over as many commands as it takes."""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from mcqa.config.errors import ConfigError, SweepError
from mcqa.runs import trial
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep import start
from mcqa.sweep.backends.job_status import cancel, read_jobs
from mcqa.sweep.loop import Loop
from mcqa.sweep.study_folder import only_controller
from tests.sweep.backends.fake_slurm import FakeSlurm
from tests.sweep.commands import config_of, ended, kill, result, start_study, until


def test_multirun_alone_is_one_job_that_is_no_trial_of_a_study(app):
    seen = []

    def task(cfg):
        seen.append((cfg.x, cfg.y, trial.current(), HydraConfig.get().job.num))

    studies = app(task)
    assert seen == [(0.5, 1, None, 0)]
    (folder,) = studies.iterdir()
    assert folder.name.startswith("app-") and not (folder / "study.yaml").exists()


def test_lists_of_values_are_run_in_every_combination_the_last_one_fastest(app):
    seen = []
    app(lambda cfg: seen.append((cfg.kind.name, cfg.x, cfg.y)), "x=0.1,0.2", "kind=plain,odd", "y=3")
    assert seen == [("plain", 0.1, 3), ("odd", 0.1, 3), ("plain", 0.2, 3), ("odd", 0.2, 3)]


def test_lists_of_params_are_run_too_and_the_command_line_wins(app):
    seen = []
    params = "+hydra.sweeper.params={x:'0.1,0.2',y:[7,8],kind:{name:[a]}}"
    app(lambda cfg: seen.append((cfg.x, cfg.y, cfg.kind.name)), params, "x=0.3")
    assert seen == [(0.3, 7, "a"), (0.3, 8, "a")]


def test_a_job_that_fails_stops_no_other_and_is_reported_at_the_end(app):
    seen = []

    def task(cfg):
        seen.append(cfg.x)
        if cfg.x == 0.1:
            raise ValueError("no such luck")

    told = (
        r"^1 of 3 jobs failed; see studies/(\S+):\n  job 0: ValueError: no such luck\n"
        r"The same command with hydra\.sweeper\.study_name=\1 runs what failed again\.$"
    )
    with pytest.raises(SweepError, match=told):
        app(task, "x=0.1,0.2,0.3", "hydra.sweeper.n_jobs=2")
    assert seen == [0.1, 0.2, 0.3]


def test_a_dry_run_of_a_product_lists_its_jobs_and_runs_none(app, capsys):
    studies = app(pytest.fail, "dry_run=true", "x=1,2", "y=3")
    assert "2 jobs" in (said := capsys.readouterr().out) and "x=2 y=3" in said
    assert not studies.exists()


@pytest.mark.parametrize("how", [["x=1,2"], ["x=interval(0,1)", "hydra.sweeper.n_trials=2"]])
def test_what_only_a_job_can_resolve_is_resolved_for_each(app, how):
    here = "+here='${hydra:runtime.output_dir}/${hydra:job.num}/${y}'"
    studies = app(
        lambda cfg: float(cfg.here.endswith("1/7")), here, "y=7", "hydra.sweep.subdir='${hydra.job.num}'", *how
    )
    (study,) = studies.iterdir()
    assert config_of(study, 1)["here"] == f"{study}/trials/1/1/7"
    assert [result(study, number)["value"] for number in (0, 1)] == [0, 1]


def test_a_job_that_exits_with_nothing_but_a_blank_has_failed_like_any_other(app):
    with pytest.raises(SweepError, match=r"1 of 1 jobs failed[^\n]*\n  job 0: SystemExit: ' '\n"):
        app(lambda cfg: sys.exit(" "))


def test_a_mistake_in_the_last_job_is_reported_before_the_first_one_runs(app):
    with pytest.raises(ConfigError, match="kind=none"):
        app(lambda cfg: pytest.fail("it ran"), "kind=plain,none")


def test_an_interval_without_a_number_of_trials_is_an_error_that_says_what_it_needs(app):
    with pytest.raises(ConfigError, match=r"x=interval\(0,1\).*hydra\.sweeper\.n_trials"):
        app(pytest.fail, "x=interval(0,1)", "hydra.sweeper.study_name=s")


# --- going on

NAME = "hydra.sweeper.study_name=p"


@pytest.fixture
def rounds(monkeypatch):
    """What happens between the rounds of the next loop, one deed after each; a loop with poll_s=0.123."""
    deeds = []

    def sleep(seconds, really=time.sleep):
        if seconds == 0.123 and deeds:
            deeds.pop(0)()
        really(0.0 if seconds == 0.123 else seconds)

    monkeypatch.setattr(start, "Loop", partial(Loop, sleep=sleep, cancel_within_s=0.0))
    return deeds


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


SLOWLY = "hydra.sweeper.poll_s=0.123"


def stopped(app, task, *overrides):
    """The override by which a command that ends early says that it goes on."""
    with pytest.raises(SweepError, match="^Stopped by Ctrl-C") as told:
        app(task, *overrides, SLOWLY)
    return next((word for word in str(told.value).splitlines()[0].split() if word.startswith("hydra.")), None)


@pytest.mark.parametrize(
    "where",
    [
        "studies/${hydra.sweeper.study_name}",
        "multirun/${now:%H-%M-%S-%f}",
        "multirun/${now:%H-%M-%S-%f}/${hydra.sweeper.study_name}",
    ],
)
def test_jobs_that_were_stopped_resume_by_what_the_error_says_and_none_runs_twice(app, rounds, capsys, where):
    seen = []
    task = lambda cfg: seen.append(cfg.x) or trial.write_result({"status": "complete", "folder": f"f{cfg.x}"})  # noqa: E731
    rounds.append(ctrl_c)
    found_by = stopped(app, task, "x=0.1,0.2,0.3", f"hydra.sweep.dir='{where}'")
    assert f"if this command ends early, the same command with {found_by} resumes" in capsys.readouterr().out
    assert seen == [0.1, 0.2]
    app(task, "x=0.1,0.2,0.3", f"hydra.sweep.dir='{where}'", found_by)
    assert seen == [0.1, 0.2, 0.3]
    said = capsys.readouterr().out
    assert "resumes: 2 jobs have ended\n" in said
    assert [line.split() for line in said.splitlines() if "complete  f0" in line] == [
        [str(n), f"x=0.{n + 1}", "–", "complete", f"f0.{n + 1}"] for n in range(3)
    ]
    assert len(list(Path(where.split("/")[0]).iterdir())) == 1


def test_a_job_whose_folder_is_gone_runs_again_and_keeps_its_number(app, capsys):
    task = lambda cfg: trial.write_result({"status": "complete", "folder": f"f{cfg.x}"})  # noqa: E731
    folder = app(task, "x=0.1,0.2,0.3", NAME) / "p"
    (folder / "trials" / "1").rename(folder / "elsewhere")
    capsys.readouterr()
    app(task, "x=0.1,0.2,0.3", NAME)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if "complete  f0" in line] == ["f0.1", "f0.2", "f0.3"]


def test_a_job_that_failed_is_run_again_by_the_same_command_and_the_others_are_not(app, tmp_path):
    seen, works = [], []

    def task(cfg):
        seen.append(cfg.x)
        if cfg.x == 0.2 and not works:
            raise OSError("disk full")

    with pytest.raises(SweepError, match=r"OSError: disk full\nThe same command runs what failed again\.$"):
        app(task, "x=0.1,0.2,0.3", NAME)
    works.append(True)
    app(task, "x=0.1,0.2,0.3", NAME)
    assert seen == [0.1, 0.2, 0.3, 0.2]
    folder = tmp_path / "studies" / "p"
    assert result(folder, 1)["status"] == "complete"
    assert [(entry.attempt, entry.end) for entry in Mailbox(folder / "trials" / "1").submissions()] == [
        (0, None),
        (1, None),
    ]


def test_too_many_failures_end_the_jobs_early_and_the_next_command_counts_anew(app):
    seen = []

    def task(cfg):
        seen.append(cfg.x)
        if len(seen) == 1:
            raise ValueError("no luck")

    arguments = ("x=0.1,0.2", NAME, "hydra.sweeper.max_failures=0")
    with pytest.raises(SweepError, match=r"Too many failures \(.*The same command resumes\.\n"):
        app(task, *arguments)
    app(task, *arguments)
    assert seen == [0.1, 0.1, 0.2]


def test_another_list_of_jobs_is_refused_with_what_differs(app):
    app(lambda cfg: None, "x=0.1,0.2", NAME)
    for now, told in (
        (["x=0.1,0.3"], r'has other jobs:\n  jobs\.1: "x=0\.2" -> "x=0\.3"\nRestore these, or give another [^,]*\.$'),
        (["x=0.1,0.2,0.3"], r'other jobs:\n  jobs\.2: \(absent\) -> "x=0\.3"\n'),
        (["x=0.1", "hydra.sweeper.allow_changes=true"], r'jobs\.1: "x=0\.2" -> \(absent\)'),
        (["x=0.1,0.3", "dry_run=true"], "other jobs"),
        (["x=0.1,0.2", "hydra.sweeper.n_trials=2"], "has jobs without a study, and this is a study"),
    ):
        with pytest.raises(ConfigError, match=told):
            app(pytest.fail, *now, NAME)


def test_a_configuration_that_was_edited_since_is_refused_unless_allowed(app, tmp_path, rounds):
    seen = []
    task = lambda cfg: seen.append((cfg.x, cfg.y))  # noqa: E731
    rounds.append(ctrl_c)
    stopped(app, task, "x=0.1,0.2,0.3", NAME)
    config = tmp_path / "conf" / "config.yaml"
    config.write_text(config.read_text().replace("y: 1", "y: 2"))
    with pytest.raises(ConfigError, match=r"jobs of another configuration:\n  base\.y: 1 -> 2\n.*allow_changes=true"):
        app(pytest.fail, "x=0.1,0.2,0.3", NAME)
    app(task, "x=0.1,0.2,0.3", NAME, "hydra.sweeper.allow_changes=true")
    assert seen == [(0.1, 1), (0.2, 1), (0.3, 2)]


def test_a_study_s_name_is_none_for_jobs_without_one(app):
    app(lambda cfg: cfg.x, "x=0.1,0.2", NAME, "hydra/sweeper/sampler=grid")
    with pytest.raises(ConfigError, match="has a study, and this is jobs without one"):
        app(pytest.fail, "x=0.1,0.2", NAME)


def test_a_dry_run_says_which_jobs_have_ended_and_changes_nothing(app, capsys):
    def task(cfg):
        if cfg.x == 0.2:
            raise OSError("disk full")

    with pytest.raises(SweepError):
        app(task, "x=0.1,0.2", NAME)
    app(pytest.fail, "x=0.1,0.2", NAME, "dry_run=true")
    assert "  0: x=0.1 (has ended)\n  1: x=0.2\n" in capsys.readouterr().out
    assert result(Path("studies/p"), 1)["status"] == "failed"


def test_the_same_jobs_have_one_command_at_a_time(app, tmp_path):
    with only_controller(tmp_path / "studies" / "p"), pytest.raises(ConfigError, match=f"by process {os.getpid()} on"):
        app(pytest.fail, "x=0.1,0.2", NAME)


@pytest.mark.slow
def test_the_jobs_of_a_command_that_is_killed_are_kept_attached_and_begun(tmp_path):
    trace = tmp_path / "trace"
    trace.mkdir()
    command = ("x=0.1,0.2,0.3", "do=wait", f"trace={trace}", "hydra.sweeper.n_jobs=2", NAME, "hydra.sweep.dir=p")
    jobs = [trace / str(number) for number in range(3)]
    first = start_study(tmp_path, *command)
    until(lambda: jobs[0].exists() and jobs[1].exists(), "two jobs", tmp_path)
    kill(first.pid)
    first.wait()
    (trace / "go-0").touch()  # one ends while nobody watches, the other runs on
    until(lambda: result(tmp_path / "p", 0), "the result of job 0", tmp_path)
    second = start_study(tmp_path, *command)
    until(jobs[2].exists, "job 2 in the slot of job 0", tmp_path)
    for number in (1, 2):
        (trace / f"go-{number}").touch()
    ended(second, tmp_path)
    assert [len(job.read_text().split()) for job in jobs] == [1, 1, 1]
    assert [result(tmp_path / "p", number)["value"] for number in range(3)] == [0.1, 0.2, 0.3]


# --- on SLURM


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Takes every job, numbers them from 17, and has all of them running for ever."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    fake = FakeSlurm(tmp_path / "bin")
    taken = f"{fake.folder}/taken"
    fake.answers(
        "sbatch",
        f'case "$*" in *--test-only*) exit 0;; esac; touch {taken}; job=$(($(wc -l < {taken}) + 17))\n'
        f'echo "$job|RUNNING|None|$(sed -n "s/^#SBATCH --comment=//p" "$1")|n1|N/A|N/A" >> {taken}\n'
        "echo Submitted batch job $job",
    )
    fake.answers("squeue", f"touch {taken}; cat {taken}")
    return fake


def submitted(slurm):
    return len([line for line in slurm.asked("sbatch") if "--test-only" not in line])


SLURM = ("hydra/launcher=submitit_slurm", "hydra.sweeper.n_jobs=2", NAME)


def completes(number):
    return lambda: Mailbox(Path(f"studies/p/trials/{number}")).write_result({"status": "complete", "value": 1.0})


@pytest.mark.slow
def test_jobs_on_slurm_are_attached_by_the_same_command_and_none_is_sent_twice(app, rounds, slurm, capsys):
    rounds.append(ctrl_c)
    assert stopped(app, pytest.fail, "x=0.1,0.2,0.3", *SLURM) is None  # no other override: the same command
    assert "2 jobs keep running; the same command resumes the sweep" in capsys.readouterr().out
    assert submitted(slurm) == 2
    completes(0)()
    rounds += [completes(1), completes(2), *[lambda: None] * 20, ctrl_c]
    app(pytest.fail, "x=0.1,0.2,0.3", *SLURM, SLOWLY)
    assert "resumes: 1 job has ended, 1 was started and goes on" in capsys.readouterr().out
    assert submitted(slurm) == 3 and not slurm.asked("scancel")
    assert [Mailbox(Path(f"studies/p/trials/{number}")).submissions()[0].job for number in range(3)] == [
        "17",
        "18",
        "19",
    ]


@pytest.mark.slow
def test_a_job_that_a_user_cancelled_is_not_sent_again(app, rounds, slurm):
    rounds.append(ctrl_c)
    stopped(app, pytest.fail, "x=0.1,0.2", *SLURM)
    ((first, _),) = read_jobs([Path("studies/p")], ended=False)[0].values()
    cancel(first)
    completes(1)()
    rounds.append(ctrl_c)  # should it be sent, it would run for ever
    with pytest.raises(SweepError, match=r"^1 of 2 jobs failed[^\n]*\n  job 0: cancelled by mcqa\.jobs$"):
        app(pytest.fail, "x=0.1,0.2", *SLURM, SLOWLY)
    assert submitted(slurm) == 2


@pytest.mark.parametrize("study", [[], ["hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=2"]])
def test_a_place_in_which_no_folder_can_be_made_is_reported_in_a_line(app, tmp_path, study):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="no folder can be made there"):
        app(lambda cfg: cfg.x, "x=0.1,0.2", f"hydra.sweep.dir={tmp_path}/file/there", *study)
