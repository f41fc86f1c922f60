"""MLflow has what a run logs, and no failure of MLflow reaches the run."""

import errno
import json
import logging
import math
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from urllib.request import urlopen

import pytest

from mcqa.config.schema import TrackingConfig
from mcqa.runs.tracking import open_tracker, send_run, send_unsent, sender
from mcqa.runs.tracking import tracker as tracking
from mcqa.runs.tracking.spool import Spool, this_process

FORK = multiprocessing.get_context("fork")  # children share MLflow's import, which takes seconds


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    sender.load_mlflow()
    client(folder).get_experiment_by_name("mcqa")
    return folder / "mlflow.db"


@pytest.fixture
def outputs(database, tmp_path):
    """A folder of outputs with an empty database; making one takes a second."""
    shutil.copy(database, tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def mlflow_is_imported(database):
    """Once, and before any fork."""


def config(**changes):
    """Tracking by an SQLite file; name only what the test is about."""
    values = {
        "name": "mlflow", "uri": None, "experiment": "mcqa",
        "log_every": 1, "system_metrics_every_s": 0, "log_model": False,
    }  # fmt: skip
    return TrackingConfig(**(values | changes))


def tracker_in(outputs, run="arc/u1", **changes):
    return open_tracker(config(**changes), outputs / "runs" / run, outputs, "arc")


def events(outputs, run="arc/u1"):
    return [event for _, event in Spool(outputs / "runs" / run).read()]


def client(where):
    from mlflow import MlflowClient

    uri = where if isinstance(where, str) else f"sqlite:///{where}/mlflow.db"
    return MlflowClient(uri, registry_uri=uri)


def all_runs(where):
    from mlflow.entities import ViewType

    found = client(where)
    experiment = found.get_experiment_by_name("mcqa")
    return found.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def short_timeouts(monkeypatch):
    monkeypatch.setattr(sender, "REQUEST_S", 1.0)
    monkeypatch.setattr(tracking, "TIMEOUT_S", 1.0)


def a_whole_run(outputs, **changes):
    tracker = tracker_in(outputs, **changes)
    tracker.start({"optimizer.learning_rate": 2e-4}, {"stage": "test"})
    tracker.metrics({"train/loss": 1.5}, step=1)
    tracker.finish("FINISHED")
    return tracker


# What MLflow shows


def test_parameters_tags_curves_and_status_arrive(outputs):
    run = client(outputs).get_run(a_whole_run(outputs).run_id)
    assert run.data.params == {"optimizer.learning_rate": "0.0002"}
    assert run.data.tags["stage"] == "test"
    assert run.data.metrics == {"train/loss": 1.5}
    assert (run.info.run_name, run.info.status) == ("arc", "FINISHED")
    assert run.info.start_time <= run.info.end_time


def test_curves_keep_their_times_and_numbers_that_are_none(outputs):
    tracker = tracker_in(outputs)
    tracker.start({}, {})
    for step, value in enumerate([0.5, math.nan, math.inf]):
        tracker.metrics({"acc@1": value}, step)
    tracker.finish("FINISHED")
    history = client(outputs).get_metric_history(tracker.run_id, "acc_1")
    assert [point.step for point in history] == [0, 1, 2]
    assert [point.timestamp for point in history] == [e["ms"] for e in events(outputs)[1:4]]
    assert math.isnan(history[1].value) and history[2].value > 1e300


def test_charts_begin_with_the_curves_of_dev(outputs):
    """MLflow orders them by the part of the name before its last slash; what result.json has in detail gets none."""
    tracker = tracker_in(outputs)
    tracker.start({}, {})
    detail = {"base/dev/ece_ci_low": 0.1, "base/dev/n": 8, "dev/acc_tokens": 0.5, "test/acc_stderr_independent": 0.1}
    tracker.metrics({"base/dev/acc": 0.25, "dev/acc": 0.5, "train/loss": 1.0, "test/brier": 0.4} | detail, 1, of="dev")
    tracker.metrics({"importance/n": 1.0}, step=0)  # of a study
    tracker.finish("FINISHED")
    named = client(outputs).get_run(tracker.run_id).data.metrics.keys()
    assert named == {"dev/base/acc", "dev/acc", "train/loss", "test/brier", "importance/n"}
    assert detail.keys() <= events(outputs)[1]["values"].keys()


def test_the_addresses_open_the_run_and_the_list_with_its_accuracy(outputs):
    tracker = a_whole_run(outputs)
    experiment = client(outputs).get_experiment_by_name("mcqa")
    runs = f"http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs"
    assert tracker.pages == [f"{runs}/{tracker.run_id}", f"{runs}?viewStateShareKey=mcqa"]
    assert "tags.`test accuracy`" in experiment.tags["mlflow.sharedViewState.mcqa"]
    assert tracker_in(outputs, "arc/u2", name="none").pages == []


def test_an_experiment_of_an_earlier_version_gets_the_columns(outputs):
    client(outputs).create_experiment("mcqa")
    a_whole_run(outputs)
    assert "mlflow.sharedViewState.mcqa" in client(outputs).get_experiment_by_name("mcqa").tags


def test_what_mlflow_would_refuse_is_shortened_and_renamed(outputs):
    tracker = tracker_in(outputs)
    params = {f"key{number}": number for number in range(130)}
    tracker.start(params | {"long": "é" * 7000, "k" * 300: 1, "a//b@c": 2, "": 3}, {"t": "x" * 9000})
    tracker.metrics({f"m{number}": number for number in range(2500)}, step=0)
    tracker.finish("FINISHED")
    data = client(outputs).get_run(tracker.run_id).data
    assert len(data.params) == 134 and data.params["a/b_c"] == "2"
    assert len(data.params["long"]) == 6000 and data.params["long"].endswith("… [cut]")
    assert len(data.metrics) == 2500


def test_files_folders_tables_and_data_sets_arrive_by_name(outputs):
    tracker = tracker_in(outputs)
    tracker.start({}, {})
    folder = outputs / "runs/arc/u1"
    for name in ("plots/curve.txt", "model/weights.bin", "tables/worst.json"):
        (folder / name).parent.mkdir()
        (folder / name).write_text('{"columns": ["a"], "data": [[1]]}')
    tracker.artifact(folder / "plots")
    tracker.artifact(folder / "model")
    tracker.table(folder / "tables/worst.json")
    tracker.dataset("arc", "0123abcd", "allenai/ai2_arc", "dev", 299)
    tracker.finish("FINISHED")
    run = client(outputs).get_run(tracker.run_id)
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.tags[0].value) == ("arc", "dev")
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "tables/worst.json", "type": "table"}]
    kept = outputs / "mlartifacts" / tracker.run_id / "artifacts"
    assert (kept / "plots/curve.txt").exists() and (kept / "tables/worst.json").exists()
    assert not (kept / "model").exists()


def test_weights_are_sent_when_asked_for(outputs):
    tracker = tracker_in(outputs, log_model=True)
    tracker.start({}, {})
    (outputs / "runs/arc/u1/model").mkdir()
    (outputs / "runs/arc/u1/model/weights.bin").write_text("w")
    tracker.artifact(outputs / "runs/arc/u1/model")
    tracker.finish("FINISHED")
    assert (outputs / "mlartifacts" / tracker.run_id / "artifacts/model/weights.bin").exists()


def test_a_file_that_is_gone_costs_a_warning_and_not_the_rest(outputs, caplog):
    tracker = tracker_in(outputs)
    tracker.start({}, {})
    tracker.artifact(outputs / "runs/arc/u1/gone.txt")
    tracker.metrics({"loss": 1.0}, step=1)
    tracker.finish("FINISHED")
    assert "gone.txt" in "".join(warnings_in(caplog))
    assert client(outputs).get_run(tracker.run_id).info.status == "FINISHED"


def test_even_a_short_run_has_system_metrics(outputs):
    tracker = a_whole_run(outputs, system_metrics_every_s=60.0)
    metrics = client(outputs).get_run(tracker.run_id).data.metrics
    assert "system/cpu_utilization_percentage" in metrics
    assert metrics["system/system_memory_usage_megabytes"] > 10


def test_mlflows_own_variables_do_not_redirect_a_run(outputs, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    assert a_whole_run(outputs).run_id != "0" * 32
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


# The spool


@pytest.mark.slow
def test_without_a_tracker_the_spool_is_written_and_can_be_sent_later(tmp_path):
    tracker = a_whole_run(tmp_path, name="none")
    assert tracker.run_id is None and not (tmp_path / "mlflow.db").exists()
    assert [event["event"] for event in events(tmp_path)] == ["start", "metrics", "finish"]
    send_unsent(config(), tmp_path)
    assert not (tmp_path / "mlflow.db").exists(), "it was asked not to be tracked"
    assert send_run(config(), tmp_path / "runs/arc/u1", tmp_path)
    assert all_runs(tmp_path)[0].data.metrics == {"train/loss": 1.5}


def test_half_a_line_is_skipped_and_ended_by_the_next_append(tmp_path):
    a_whole_run(tmp_path, name="none")
    spool = Spool(tmp_path / "runs/arc/u1")
    with spool.path.open("ab") as file:
        file.write('{"ms": 1, "event": "metr…'.encode()[:-1])
    assert len(list(spool.read())) == 3
    Spool(spool.folder).append("finish", status="FINISHED")
    assert [event["event"] for _, event in spool.read()] == ["start", "metrics", "finish", "finish"]


def test_what_the_file_system_does_not_take_is_kept_and_written_later(tmp_path, monkeypatch, caplog):
    spool = Spool(tmp_path)
    spool.append("metrics", step=1, values={})
    write = Spool._write

    def away(self):
        with self.path.open("ab") as file:
            file.write(b'{"ms": 1, "ev')  # the server went away half-way
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Spool, "_write", away)
    for step in (2, 3):
        spool.append("metrics", step=step, values={})
    assert len(caplog.messages) == 1 and "The run continues" in caplog.text
    monkeypatch.setattr(Spool, "_write", write)
    spool.flush()
    spool.append("metrics", step=4, values={})
    assert [event["step"] for _, event in Spool(tmp_path).read()] == [1, 2, 3, 4]


def test_what_a_resumed_run_repeats_is_logged_once(tmp_path):
    def begun():
        tracker = tracking.Tracker(Spool(tmp_path), None, "a run", 0)
        tracker.start({}, {})
        return tracker

    first = begun()
    first.metrics({"train/loss": 1.0, "speed": 5.0}, 2, of="training")
    first.metrics({"dev/acc": 0.5}, 2, of="training")
    first.metrics({"best": 0.5}, 0)
    second = begun()
    second.metrics({"train/loss": 1.0, "new": 7.0}, 2, of="training")
    second.metrics({"dev/acc": 0.6}, 2, of="dev")  # the measurement at the end, of the best state
    second.metrics({"train/loss": 0.9}, 3, of="training")
    second.metrics({"best": 0.6}, 0)
    logged = [event["values"] for _, event in Spool(tmp_path).read() if event["event"] == "metrics"]
    assert logged[3:] == [{"new": 7.0}, {"dev/acc": 0.6}, {"train/loss": 0.9}, {"best": 0.6}]


def test_threads_write_whole_lines(tmp_path):
    spool = Spool(tmp_path)

    def work(step):
        for _ in range(200):
            spool.append("metrics", step=step, values={"loss": 0.5})

    threads = [threading.Thread(target=work, args=(step,)) for step in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(spool.read())) == len(spool.path.read_text().splitlines()) == 1000


def test_sending_everything_again_changes_nothing(outputs):
    tracker = a_whole_run(outputs)
    (outputs / "runs/arc/u1/tracking.json").unlink()
    assert send_run(config(), outputs / "runs/arc/u1", outputs)
    (run,) = all_runs(outputs)
    assert run.info.run_id == tracker.run_id and run.info.status == "FINISHED"
    assert len(client(outputs).get_metric_history(tracker.run_id, "train/loss")) == 1


@pytest.mark.slow
def test_a_new_database_under_the_old_name_gets_the_whole_run(tmp_path):
    a_whole_run(tmp_path)
    folder, moved = tmp_path / "runs/arc/u1", tmp_path / "moved"
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"ms": 1, "event": "metrics", "step": 2, "values": {"train/loss": 1.0}}\n')
    assert send_run(config(), folder, moved)
    assert all_runs(moved)[0].data.params == {"optimizer.learning_rate": "0.0002"}


def test_a_resumed_run_stays_the_same_run_in_mlflow(outputs):
    first = a_whole_run(outputs)
    again = tracker_in(outputs)
    again.start({"optimizer.learning_rate": 3e-4, "new": 1}, {})
    assert again.run_id == first.run_id
    assert client(outputs).get_run(again.run_id).info.status == "RUNNING"
    again.metrics({"train/loss": 1.0}, step=2)
    again.finish("FAILED")
    (run,) = all_runs(outputs)
    assert run.data.params == {"optimizer.learning_rate": "0.0002", "new": "1"}
    assert run.info.status == "FAILED"
    assert len(client(outputs).get_metric_history(first.run_id, "train/loss")) == 2


@pytest.mark.slow
def test_runs_in_folders_of_one_name_stay_apart(tmp_path):
    runs = {a_whole_run(tmp_path / study, uri=f"sqlite:///{tmp_path}/mlflow.db").run_id for study in "ab"}
    assert len(runs) == 2


# A server that does not answer


@contextmanager
def hanging():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def refusing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://me:hunter2@127.0.0.1:{port}"


@contextmanager
def answering(status):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)  # with a page of HTML

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (refusing(), "Connection refused"),
        (hanging(), "timed out"),
        (answering(503), "503"),
        (answering(401), "MLFLOW_TRACKING_TOKEN"),
        (answering(403), "--allowed-hosts"),
        (answering(404), "tracking.uri is the address of an MLflow server"),
        (answering(200), "tracking.uri is the address of an MLflow server"),
    ],
    ids=["refused", "hanging", "503", "401", "403", "404", "a page"],
)
def test_a_server_that_does_not_answer_costs_one_warning(server, reason, tmp_path, caplog, short_timeouts):
    with server as uri:
        begin = time.monotonic()
        a_whole_run(tmp_path, uri=uri)
    assert time.monotonic() - begin < 5
    (warning,) = warnings_in(caplog)
    assert reason in warning and str(tmp_path / "runs/arc/u1/events.jsonl") in warning
    assert "127.0.0.1" in warning and "hunter2" not in warning
    assert "hunter2" not in (tmp_path / "runs/arc/u1/tracking.json").read_text()
    assert len(events(tmp_path)) == 3


def test_a_broken_database_costs_one_warning(tmp_path, caplog, short_timeouts):
    (tmp_path / "mlflow.db").write_bytes(b"no database " * 1000)
    a_whole_run(tmp_path)
    (warning,) = warnings_in(caplog)
    assert "not a database" in warning


def test_a_database_that_is_no_file_costs_one_warning(tmp_path, caplog):
    """Whatever numbers are in its path."""
    outputs = tmp_path / "room-403"
    (outputs / "mlflow.db").mkdir(parents=True)
    a_whole_run(outputs)
    (warning,) = warnings_in(caplog)
    assert "Is a directory" in warning and "yours to write?" in warning


def test_a_locked_database_delays_a_run_by_the_timeout_only(outputs, caplog, short_timeouts):
    a_whole_run(outputs, run="arc/first")
    other = sqlite3.connect(outputs / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    tracker = tracker_in(outputs)
    begin = time.monotonic()
    tracker.start({}, {})
    assert time.monotonic() - begin < 3 and len(warnings_in(caplog)) == 1
    other.close()
    tracker.finish("FINISHED")
    assert client(outputs).get_run(tracker.run_id).info.status == "FINISHED"


def test_a_run_waits_longer_after_each_failure(tmp_path, monkeypatch, caplog):
    attempts = []
    monkeypatch.setattr(sender.Sender, "send", lambda self: attempts.append(time.monotonic()))
    monkeypatch.setattr(tracking, "PAUSE_S", 0.2)
    monkeypatch.setattr(tracking, "SEND_EVERY_S", 0.01)
    tracker = tracker_in(tmp_path)
    tracker.start({}, {})
    time.sleep(1)
    tracker.finish("FINISHED")
    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    assert len(pauses) == 3 and pauses[0] >= 0.2 and pauses[1] >= 0.4


def test_unsent_runs_are_sent_when_the_next_one_starts(outputs):
    with refusing() as uri:
        a_whole_run(outputs, uri=uri)
        state = outputs / "runs/arc/u1/tracking.json"
        state.write_text(json.dumps(json.loads(state.read_text()) | {"uri": None}))  # the server is back
    pretend_owner(outputs, pid=2**22 + 1)
    send_unsent(config(), outputs)
    assert all_runs(outputs)[0].info.status == "FINISHED"


class Server:
    """A real `mlflow server`; without its job queue it starts in half the time."""

    def __init__(self, folder):
        folder.mkdir()
        with refusing() as uri:
            self.uri = uri.replace("me:hunter2@", "")
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--port", self.uri.rpartition(":")[2], "--artifacts-destination", str(folder)]
        command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def wait_until_up(self):
        while self.process.poll() is None:
            try:
                return urlopen(f"{self.uri}/health", timeout=1).close()
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    try:
        server.wait_until_up()
        yield server
    finally:
        server.kill()


@pytest.mark.slow
def test_a_run_whose_server_dies_is_whole_wherever_it_is_sent_again(server, outputs, caplog):
    folder = outputs / "runs/arc/u1"
    tracker = tracker_in(outputs, uri=server.uri)
    tracker.start({"seed": 1}, {})
    (folder / "note.txt").write_text("kept")
    tracker.artifact(folder / "note.txt")
    tracker.metrics({"loss": 2.0}, step=1)
    wait_until(lambda: tracker._sender.position.sent == Spool(folder).size())
    assert [file.path for file in client(server.uri).list_artifacts(tracker.run_id)] == ["note.txt"]
    (first,) = all_runs(server.uri)
    assert first.data.params == {"seed": "1"} and first.data.metrics == {"loss": 2.0}

    server.kill()
    tracker.metrics({"loss": 1.0}, step=2)
    tracker.finish("FINISHED")
    assert len(warnings_in(caplog)) == 1
    assert send_run(config(), folder, outputs)
    (run,) = all_runs(outputs)
    assert run.data.params == {"seed": "1"} and run.info.status == "FINISHED"
    assert run.info.start_time == first.info.start_time
    history = client(outputs).get_metric_history(run.info.run_id, "loss")
    assert [point.value for point in history] == [2.0, 1.0]


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


# Several processes


def pretend_owner(outputs, run="arc/u1", **changes):
    spool = Spool(outputs / "runs" / run)
    lines = [event for _, event in spool.read()]
    lines[0]["owner"] |= changes
    spool.path.write_text("".join(json.dumps(event) + "\n" for event in lines))


def start_and_wait(outputs, ready):
    tracker_in(outputs).start({}, {})
    ready.set()
    time.sleep(60)


@pytest.mark.slow
def test_a_killed_run_is_marked_once_its_process_is_gone(outputs):
    ready = FORK.Event()
    process = FORK.Process(target=start_and_wait, args=(outputs, ready))
    process.start()
    assert ready.wait(30)
    send_unsent(config(), outputs)
    assert all_runs(outputs)[0].info.status == "RUNNING", "its process lives"
    process.kill()
    process.join()
    send_unsent(config(), outputs)
    assert all_runs(outputs)[0].info.status == "KILLED"
    size = Spool(outputs / "runs/arc/u1").size()
    send_unsent(config(), outputs)
    assert Spool(outputs / "runs/arc/u1").size() == size


def test_an_unfinished_run_of_another_host_is_left_alone(tmp_path):
    Spool(tmp_path / "runs/arc/u1").start("arc", {}, {})
    sender.Sender(config(), tmp_path / "runs/arc/u1", tmp_path).position.save(tmp_path / "runs/arc/u1")
    pretend_owner(tmp_path, host="elsewhere", pid=2**22 + 1)
    send_unsent(config(), tmp_path)
    assert [event["event"] for event in events(tmp_path)] == ["start"]
    assert not (tmp_path / "mlflow.db").exists()


def test_another_process_with_the_number_of_a_dead_one_is_not_it():
    assert this_process().is_alive()
    assert not this_process()._replace(created=this_process().created - 1000).is_alive()


@pytest.mark.slow
def test_only_one_process_sends_what_others_left(tmp_path):
    from filelock import FileLock

    a_whole_run(tmp_path, name="none")
    sender.Sender(config(), tmp_path / "runs/arc/u1", tmp_path).position.save(tmp_path / "runs/arc/u1")
    pretend_owner(tmp_path, pid=2**22 + 1)
    with FileLock(tmp_path / ".unsent.lock"):
        send_unsent(config(), tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
    send_unsent(config(), tmp_path)
    assert len(all_runs(tmp_path)) == 1


def run_at_once(outputs, number, barrier):
    barrier.wait()
    a_whole_run(outputs, run=f"arc/{number}")


@pytest.mark.slow
def test_six_processes_share_a_fresh_database(tmp_path):
    barrier = FORK.Barrier(6)
    processes = [FORK.Process(target=run_at_once, args=(tmp_path, n, barrier)) for n in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert [run.info.status for run in all_runs(tmp_path)] == ["FINISHED"] * 6


@pytest.mark.slow
def test_importing_the_tracker_is_instant():
    script = "import sys, mcqa.runs.tracking; sys.exit('mlflow' in sys.modules or 'filelock' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


# What is damaged


def test_an_odd_line_keeps_neither_its_run_nor_the_next_from_being_sent(outputs, caplog):
    for run in ("arc/u1", "arc/u2"):
        a_whole_run(outputs, run=run, uri=None)
        (outputs / "runs" / run / "tracking.json").unlink()
        sender.Position(None, "mcqa").save(outputs / "runs" / run)
        pretend_owner(outputs, run, pid=2**22 + 1)
    with (outputs / "runs/arc/u1/events.jsonl").open("ab") as file:
        file.write(b'{"ms": 1, "event": "metrics", "step": 5, "values": [1]}\nonce upon a time\n')
    send_unsent(config(), outputs)
    (warning,) = warnings_in(caplog)
    assert f"{outputs / 'runs/arc/u1/events.jsonl'}, line 4: no event" in warning
    for run in ("arc/u1", "arc/u2"):
        position = sender.Position.read(outputs / "runs" / run)
        assert position.sent == (outputs / "runs" / run / "events.jsonl").stat().st_size
    assert len(all_runs(outputs)) == 2


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "[" * 100_000, '{"uri": null}', '{"uri": null, "experiment": "mcqa", "sent": -1}',
     '{"uri": null, "experiment": "mcqa", "sent": "all"}', '{"uri": null, "experiment": "mcqa", "run_id": 7}'],
)  # fmt: skip
def test_a_damaged_position_costs_one_warning_and_the_run_is_sent_to_where_it_belongs(outputs, text, caplog):
    tracker = a_whole_run(outputs)
    folder = outputs / "runs/arc/u1"
    pretend_owner(outputs, pid=2**22 + 1)
    (folder / "tracking.json").write_text(text)
    (folder / "config.yaml").write_text("tracking: {name: mlflow, uri: null, experiment: mcqa}\n")
    send_unsent(config(experiment="another"), outputs)
    send_unsent(config(), outputs)
    (warning,) = warnings_in(caplog)
    assert f"{folder / 'tracking.json'} is damaged" in warning
    assert [run.info.run_id for run in all_runs(outputs)] == [tracker.run_id]
    assert sender.Position.read(folder).sent == (folder / "events.jsonl").stat().st_size


def test_a_run_of_which_nothing_says_where_it_was_tracked_is_left_alone(outputs, caplog):
    a_whole_run(outputs)
    folder = outputs / "runs/arc/u1"
    pretend_owner(outputs, pid=2**22 + 1)
    (folder / "tracking.json").write_text("{")
    send_unsent(config(), outputs)
    (warning,) = warnings_in(caplog)
    assert warning.endswith("The run is sent to MLflow only when it is resumed.")


def test_a_position_past_the_end_of_a_spool_that_lost_its_end_is_the_beginning(outputs):
    a_whole_run(outputs)
    folder = outputs / "runs/arc/u1"
    text = (folder / "events.jsonl").read_bytes()
    (folder / "events.jsonl").write_bytes(text[: text.rindex(b"\n", 0, -1) + 1])
    assert send_run(config(), folder, outputs)
    assert sender.Position.read(folder).sent == (folder / "events.jsonl").stat().st_size


# Secrets


def test_a_configuration_is_sent_without_its_secrets_and_stays_as_it_is_in_the_folder(outputs):
    folder = outputs / "runs/arc/u1"
    folder.mkdir(parents=True)
    text = "# mine\nhydra: {job: {env_set: {ANY: hunter2}}, launcher: {setup: ['export ANY=hunter2']}}\nseed: 0\n"
    (folder / "multirun.yaml").write_text(text)
    (folder / "config.yaml").write_text("# mine\npad_token: <pad>\n")
    tracker = tracker_in(outputs)
    tracker.start({}, {})
    tracker.artifact(folder / "multirun.yaml")
    tracker.artifact(folder / "config.yaml")
    tracker.finish("FINISHED")
    sent = outputs / "sent"
    sent.mkdir()
    client(outputs).download_artifacts(tracker.run_id, "", str(sent))
    assert "hunter2" not in (sent / "multirun.yaml").read_text() and "seed: 0" in (sent / "multirun.yaml").read_text()
    assert (sent / "config.yaml").read_text() == "# mine\npad_token: <pad>\n"
    assert (folder / "multirun.yaml").read_text() == text


def test_secrets_reach_neither_spool_nor_mlflow(outputs):
    tracker = tracker_in(outputs)
    params = {"model.hub_token": "abc", "db.password": 1234, "tokenizer": "gpt2", "pad_token": "<pad>"}
    tracker.start(params, {"overrides": "data.api_key=xyz seed=1"})
    tracker.finish("FINISHED")
    data = client(outputs).get_run(tracker.run_id).data
    assert data.params == {
        "model.hub_token": "[redacted]", "db.password": "[redacted]", "tokenizer": "gpt2",
        "pad_token": "<pad>",
    }  # fmt: skip
    assert data.tags["overrides"] == "data.api_key=[redacted] seed=1"
    text = (outputs / "runs/arc/u1/events.jsonl").read_text()
    assert not any(secret in text for secret in ('"abc"', "1234,", "xyz"))
