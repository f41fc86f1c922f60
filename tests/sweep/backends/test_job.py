import bdb
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mcqa.runs import trial
from mcqa.runs.environment import commit_of
from mcqa.runs.mailbox import Mailbox, Submission
from mcqa.sweep.backends import job
from mcqa.sweep.backends.job import Job
from tests.sweep.submitted import CONTEXT, trial_folder


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


def run(folder: Path, task: Callable[[Any], Any]) -> dict[str, Any]:
    """The result of the job after the way through the pickle, in this process."""
    job = pickle.loads(pickle.dumps(Job(folder, task, CONTEXT)))
    job(in_process=True)
    result = Mailbox(folder).result()
    assert result is not None
    return result


def raising(error: BaseException) -> Callable[[Any], Any]:
    def task(cfg: Any) -> Any:
        raise error

    return task


@pytest.mark.slow
@pytest.mark.parametrize(
    ("returned", "value"),
    [(0.5, 0.5), (3, 3.0), ([0.5, 2], [0.5, 2.0]), ((1.0, 2.0), [1.0, 2.0]), (OmegaConf.create([1, 2]), [1.0, 2.0])],
)
def test_a_number_or_several_are_the_value_of_the_trial(tmp_path: Path, returned: Any, value: Any) -> None:
    result = run(trial_folder(tmp_path), lambda cfg: returned)
    assert (result["status"], result["value"], result["error"]) == ("complete", value, None)
    assert result["seconds"] >= 0 and "commit" in result


@pytest.mark.parametrize("returned", [None, "0.5", {"loss": 1.0}, ["a"]])
def test_a_returned_value_that_is_not_a_number_is_none(tmp_path: Path, returned: Any) -> None:
    result = run(trial_folder(tmp_path), lambda cfg: returned)
    assert (result["status"], result["value"]) == ("complete", None)
    assert result.get("returned") == (None if returned is None else type(returned).__name__)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("nan")]])
def test_a_value_that_is_not_finite_is_a_failure(tmp_path: Path, value: float | Sequence[float]) -> None:
    result = run(trial_folder(tmp_path), lambda cfg: value)
    assert (result["status"], result["value"], result["error"]) == ("failed", None, f"value is {value}")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no such luck"), "ValueError: no such luck"),
        (OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory"),
        (MemoryError(), "MemoryError"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_a_failure_has_its_reason_and_its_traceback_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BaseException, message: str
) -> None:
    result = run(trial_folder(tmp_path), raising(error))
    assert (result["status"], result["value"], result["error"]) == ("failed", None, message)
    assert "Traceback" in capsys.readouterr().err


def test_the_message_of_an_exit_is_the_reason_and_needs_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(trial_folder(tmp_path), raising(SystemExit("bad option")))
    assert (result["status"], result["error"]) == ("failed", "bad option")
    assert capsys.readouterr().err == "bad option\n"


def test_an_exit_with_status_0_is_no_failure(tmp_path: Path) -> None:
    assert run(trial_folder(tmp_path), raising(SystemExit(0)))["status"] == "complete"


def test_a_pruned_trial_has_the_value_that_it_reported_last(tmp_path: Path) -> None:
    def task(cfg: Any) -> None:
        me = trial.current()
        assert me is not None
        me.report(0.25, point=1)
        me.report(0.5, point=2)
        raise trial.Pruned

    result = run(trial_folder(tmp_path), task)
    assert (result["status"], result["value"], result["error"]) == ("pruned", 0.5, None)


@pytest.mark.parametrize(("value", "kept"), [(0.5, 0.5), (math.nan, None)])
def test_a_paused_trial_has_not_ended_and_has_the_value_that_it_reported_last(
    tmp_path: Path, value: float, kept: float | None
) -> None:
    def task(cfg: Any) -> None:
        me = trial.current()
        assert me is not None
        me.report(value, point=1)
        raise trial.Paused("later")

    result = run(trial_folder(tmp_path), task)
    assert (result["status"], result["value"], result["error"]) == ("paused", kept, None)
    assert not Mailbox(tmp_path / "trials" / "0").is_finished()


@pytest.mark.parametrize("ending", [None, SystemExit(1), RuntimeError("while closing")])
def test_a_result_that_the_app_wrote_itself_wins_and_gets_what_it_left_out(tmp_path: Path, ending: Any) -> None:
    folder = trial_folder(tmp_path)

    def task(cfg: Any) -> None:
        Mailbox(folder).write_result({"status": "pruned", "value": 0.5, "seconds": 99.0, "peak_memory_bytes": 1})
        if ending:
            raise ending

    result = run(folder, task)
    assert result.items() >= {"status": "pruned", "value": 0.5, "seconds": 99.0, "peak_memory_bytes": 1}.items()
    assert result["error"] is None and "commit" in result


def test_a_result_json_of_the_app_s_own_is_kept_beside_ours(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    result = run(
        folder, lambda cfg: (folder / "result.json").write_text('{"acc": 0.9, "value": "x", "seconds": "many"}')
    )
    assert (result["acc"], result["status"], result["value"]) == (0.9, "complete", 45.0)
    assert result["seconds"] != "many"


@pytest.mark.parametrize("wrote", [{"status": "ok", "acc": 1}, {"status": "complete", "value": "high", "acc": 1}])
def test_a_result_that_cannot_be_read_is_a_failure_and_what_it_said_is_kept(tmp_path: Path, wrote: Any) -> None:
    folder = trial_folder(tmp_path)
    result = run(folder, lambda cfg: Mailbox(folder).write_result(wrote))
    assert (result["status"], result["value"], result["acc"]) == ("failed", None, 1)
    assert "result.json has" in result["error"]


def test_the_error_of_the_app_takes_precedence_over_an_unreadable_result(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)

    def task(cfg: Any) -> None:
        Mailbox(folder).write_result({"status": "ok"})
        raise ValueError("no such luck")

    assert run(folder, task)["error"] == "ValueError: no such luck"


def test_an_exit_with_a_blank_message_still_has_a_reason(tmp_path: Path) -> None:
    assert run(trial_folder(tmp_path), raising(SystemExit(" ")))["error"] == "SystemExit: ' '"


def test_a_value_that_the_app_wrote_is_held_to_be_finite_too(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    result = run(folder, lambda cfg: Mailbox(folder).write_result({"status": "complete", "value": float("nan")}))
    assert (result["status"], result["error"]) == ("failed", "value is nan")


def test_the_app_gets_the_stored_configuration_and_hydra_s_own(tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def task(cfg: Any) -> None:
        from hydra.core.hydra_config import HydraConfig

        hydra = HydraConfig.get()
        seen.update(cfg=cfg, num=hydra.job.num, output=hydra.runtime.output_dir, model=hydra.runtime.choices.model)
        seen.update(subdir=hydra.sweep.subdir, mode=hydra.mode.name, overrides=list(hydra.overrides.task))

    folder = trial_folder(tmp_path, 12, lr=1e-05, name="1e-4", day="2026-01-01", deep={"x": [1, None]})
    Job(folder, task, CONTEXT)(in_process=True)
    assert seen.pop("cfg") == {"lr": 1e-05, "name": "1e-4", "day": "2026-01-01", "deep": {"x": [1, None]}}
    assert seen == {
        "num": 12,
        "output": str(folder),
        "model": "small",
        "subdir": "12",
        "mode": "MULTIRUN",
        "overrides": ["x=1"],
    }


def test_a_key_that_the_configuration_lacks_cannot_be_set_in_the_app_as_under_hydra(tmp_path: Path) -> None:
    def task(cfg: Any) -> None:
        cfg.y = 2

    assert "ConfigAttributeError" in run(trial_folder(tmp_path, x=1), task)["error"]


def test_hydra_s_working_directory_and_environment_hold(tmp_path: Path) -> None:
    def task(cfg: Any) -> str:
        import os

        assert os.environ["FROM_HYDRA"] == "yes"
        (Path("here")).touch()
        return "done"

    folder = trial_folder(tmp_path, hydra={"job": {"name": "app", "chdir": True, "env_set": {"FROM_HYDRA": "yes"}}})
    assert run(folder, task)["status"] == "complete"
    assert (folder / "here").exists() and Path.cwd() != folder


def test_a_missing_configuration_is_a_failure_that_names_the_file(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    (folder / "config.yaml").unlink()
    assert "config.yaml" in run(folder, lambda cfg: 1.0)["error"]


@pytest.mark.slow
def test_an_app_that_cannot_be_unpickled_is_a_failure_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "left_behind.py").write_text("def task(cfg): return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    import left_behind  # type: ignore[import-not-found]

    pickled = pickle.dumps(Job(trial_folder(tmp_path), left_behind.task, CONTEXT))
    del sys.modules["left_behind"]
    (tmp_path / "modules" / "left_behind.py").unlink()
    pickle.loads(pickled)(in_process=True)
    result = Mailbox(tmp_path / "trials" / "0").result()
    assert result is not None and "No module named 'left_behind'" in result["error"]


@pytest.mark.slow
def test_a_job_finds_modules_where_its_controller_found_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_the_script.py").write_text("def task(cfg): return 2.0\n")
    folder = trial_folder(tmp_path)
    with monkeypatch.context() as controller:
        controller.syspath_prepend(tmp_path)
        import beside_the_script  # type: ignore[import-not-found]

        pickled = pickle.dumps(Job(folder, beside_the_script.task, CONTEXT))
    del sys.modules["beside_the_script"]
    path = list(sys.path)
    pickle.loads(pickled)(in_process=True)
    sys.path[:] = path
    assert (Mailbox(folder).result() or {})["value"] == 2.0


def test_resolvers_of_the_app_travel_with_it(tmp_path: Path) -> None:
    OmegaConf.register_new_resolver("thrice", lambda x: 3 * x, replace=True)
    pickled = pickle.dumps(Job(trial_folder(tmp_path, x="${thrice:2}"), lambda cfg: cfg.x, CONTEXT))
    OmegaConf.clear_resolver("thrice")
    pickle.loads(pickled)(in_process=True)
    OmegaConf.clear_resolver("thrice")
    assert (Mailbox(tmp_path / "trials" / "0").result() or {})["value"] == 6.0


def test_a_trial_that_has_its_result_is_not_run_again(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    Mailbox(folder).write_result({"status": "complete", "value": 1.0})
    assert run(folder, raising(AssertionError("it ran"))) == {"status": "complete", "value": 1.0}


def test_a_preempted_trial_runs_again(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    Mailbox(folder).write_result({"status": "preempted", "value": None})
    assert run(folder, lambda cfg: 2.0)["value"] == 2.0


@pytest.mark.parametrize("leaves", ["raises", "exits with a word"])
def test_an_app_that_was_preempted_can_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: str) -> None:
    def task(cfg: Any) -> None:
        try:
            raise trial.Preempted("Stopped by SIGTERM.")
        except trial.Preempted as error:
            if leaves == "raises":
                raise
            sys.exit(f"{error} It goes on with this command.")

    folder = trial_folder(tmp_path)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "17")
    monkeypatch.setenv("SUBMITIT_LOCAL_GLOBALID", "0")
    Job(folder, task, CONTEXT)()
    preempted = Mailbox(folder).result()
    assert preempted is not None and (preempted["status"], preempted["error"]) == ("preempted", "Stopped by SIGTERM.")
    assert not Mailbox(folder).is_finished()


def test_a_job_that_was_taken_for_lost_and_replaced_does_nothing(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)
    for attempt, token in enumerate(("old", "new")):
        Mailbox(folder).add_submission(Submission(attempt, token, None, "slurm", "h", 0, 0.0))
    Job(folder, raising(AssertionError("it ran")), CONTEXT, token="old")(in_process=True)
    assert Mailbox(folder).result() is None
    Job(folder, lambda cfg: 1.0, CONTEXT, token="new")(in_process=True)
    assert Mailbox(folder).is_finished()


@pytest.mark.parametrize("raised", [SystemExit(144), RuntimeError("timed out too many times"), KeyboardInterrupt()])
def test_what_the_scheduler_stopped_leaves_no_result_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    def task(cfg: Any) -> float:
        if not Path("stopped").exists():
            Path("stopped").touch()
            again.append(pickle.dumps(running[0].checkpoint().function))  # as submitit's handler of the signal does
            raise raised
        raise ValueError("after the resume")

    again: list[bytes] = []
    running: list[Job] = []
    monkeypatch.chdir(tmp_path)
    folder = trial_folder(tmp_path)
    running.append(Job(folder, task, CONTEXT))
    running[0]._pickled = b"as if it came out of a pickle"
    with pytest.raises(type(raised)):
        running[0](in_process=True)
    assert Mailbox(folder).result() is None
    resumed = pickle.loads(again[0])
    resumed._app = running[0]._app
    resumed(in_process=True)
    assert (Mailbox(folder).result() or {})["error"] == "ValueError: after the resume"


def test_a_signal_to_a_controller_that_runs_the_trial_itself_ends_the_sweep(tmp_path: Path) -> None:
    folder = trial_folder(tmp_path)

    with pytest.raises(KeyboardInterrupt):
        Job(folder, raising(trial.Preempted("Stopped by SIGTERM.")), CONTEXT)(in_process=True)
    assert not Mailbox(folder).is_finished()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), bdb.BdbQuit()])
def test_ctrl_c_while_stepping_through_ends_the_sweep_and_not_the_trial(tmp_path: Path, error: BaseException) -> None:
    folder = trial_folder(tmp_path)
    with pytest.raises(type(error)):
        Job(folder, raising(error), CONTEXT)(in_process=True)
    assert Mailbox(folder).result() is None


@pytest.mark.slow
def test_a_job_that_starts_on_other_code_says_so(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    job = Job(trial_folder(tmp_path), lambda cfg: 1.0, CONTEXT)
    job.code, job.commit = tmp_path, git("rev-parse", "HEAD")
    git("commit", "-q", "--allow-empty", "-m", "two")
    commit_of.cache_clear()
    job(in_process=True)
    result = Mailbox(job.folder).result() or {}
    assert result["code_changed"] == f"{job.commit} -> {result['commit']}"
    assert result["commit"] == git("rev-parse", "HEAD") != job.commit


@pytest.mark.slow
def test_uncommitted_changes_are_marked_in_the_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "code.py").write_text("one")
    for arguments in (["init", "-q"], ["add", "code.py"], ["commit", "-qm", "one"]):
        git(*arguments)
    (tmp_path / "result.txt").write_text("what git does not know says nothing about the code")
    commit_of.cache_clear()
    assert commit_of(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "code.py").write_text("two")
    commit_of.cache_clear()
    assert commit_of(tmp_path) == git("rev-parse", "HEAD") + "+dirty"


@pytest.mark.slow
def test_code_outside_of_a_checkout_has_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None


@pytest.mark.slow
@pytest.mark.parametrize(("first_of_its_node", "heartbeats"), [(True, ["heartbeat.1"]), (False, [])])
def test_a_further_process_leaves_no_result_and_one_of_each_node_a_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_of_its_node: bool, heartbeats: list[str]
) -> None:
    process = job._Process("7", rank=3, node=1, local_rank=0 if first_of_its_node else 1)
    monkeypatch.setattr(job, "_this_process", lambda: process)
    folder = trial_folder(tmp_path)
    Job(folder, lambda cfg: (folder / "ran").touch(), CONTEXT)()
    assert (folder / "ran").exists() and Mailbox(folder).result() is None
    assert [path.name for path in folder.glob("heartbeat*")] == heartbeats
