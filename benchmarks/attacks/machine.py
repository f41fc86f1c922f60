"""Areas `kills`, `disk` and `servers`: what a machine does to a run."""

import json
import os
import random
import signal
import socket
import socketserver
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from benchmarks.attacks.folders import STUDY, TRIALS, finished, look_at, result, small_run, weights
from benchmarks.attacks.running import Ended, Try, Wrong, refused, run, same, sound, succeeded

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
MOST_KILLS = 3  # of one run
LONGEST_S = 120.0  # a run of half a minute with a server that does not work


# --- kills ------------------------------------------------------------------------------------------------------------


def kills(seed: int, count: int, base: Path) -> Iterator[Try]:
    """One try for twenty cases of the other areas, at least three; each run is killed once or more."""
    chance = random.Random(seed)
    undisturbed, seconds = finished(base)
    for number in range(max(len(SIGNALS), count // 20)):
        which = SIGNALS[number % len(SIGNALS)]
        moments = [chance.uniform(0.2, 1.1) * seconds for _ in range(chance.randint(1, MOST_KILLS))]
        name = f"{which.name} after {', '.join(f'{each:.1f} s' for each in moments)}"
        yield Try(
            "kills",
            name,
            lambda folder, which=which, moments=moments: _kills(which, moments, base, undisturbed, folder),
        )


def _kills(which: signal.Signals, moments: list[float], base: Path, undisturbed: Path, folder: Path) -> None:
    for moment in [*moments, None]:
        stop = None if moment is None else (moment, which)
        ended = run("mcqa.train", _goes_on(base, folder), folder, own_process=True, stop=stop)
        sound(ended, by_signal=moment is not None)
        (last,) = runs_of(folder)[-1:] or [folder]
        if ended.code == 0:
            break
        if moment is None:
            succeeded(ended)
        if which is signal.SIGTERM and result(last).get("status") == "preempted" and "resume=" not in ended.output:
            raise Wrong("silently wrong", "a run that was asked to stop does not say how it resumes", ended)
    same("how it ended", result(last).get("status"), "complete", ended)
    same("metrics", result(last)["metrics"], result(undisturbed)["metrics"], ended)
    same("weights", weights(last) == weights(undisturbed), True, ended)
    for name in ("dev", "test", "base_dev", "base_test"):
        path = Path("predictions", f"{name}.jsonl")
        same(str(path), (last / path).read_text(), (undisturbed / path).read_text(), ended)


def runs_of(folder: Path, name: str = "smoke") -> list[Path]:
    """Return the run folders in the outputs of a folder that can be run again, the oldest first."""
    found = sorted((folder / "outputs" / "runs").glob(f"{name}*/*"))
    return [each for each in found if (each / "config.yaml").exists()]


def _goes_on(base: Path, folder: Path) -> list[str]:
    """The arguments that begin the small run, or resume the one that there is."""
    unfinished = [each for each in runs_of(folder) if _status(each) != "complete"]
    return [f"resume={unfinished[-1]}"] if unfinished else small_run(base)


def _status(folder: Path) -> object:
    try:
        return result(folder).get("status")
    except ValueError:
        return None


# --- disk -------------------------------------------------------------------------------------------------------------

LARGEST_FILES = (0, 1_000, 20_000, 400_000)
DISKS = ("256k", "1m", "read-only")
SAYS = ("disk", "Disk", "File too large", "No space", "Read-only", "read-only")
FURTHER = "hydra.sweeper.n_trials"
COMMANDS = ("run", "run without MLflow", "evaluation", "comparison", "study")


def disk(seed: int, count: int, base: Path) -> Iterator[Try]:
    """Every command with every limit; small disks need root."""
    run_folder, _ = finished(base)
    for command in COMMANDS:
        for size in LARGEST_FILES:
            yield Try(
                "disk",
                f"{command}: no file above {size} bytes",
                lambda folder, command=command, size=size: _limited(command, size, base, run_folder, folder),
            )
        for size in DISKS if os.geteuid() == 0 else ():
            yield Try(
                "disk",
                f"{command}: a disk that is {size}",
                lambda folder, command=command, size=size: _on_disk(command, size, base, run_folder, folder),
            )


def _try_again(
    command: str,
    base: Path,
    run_folder: Path,
    folder: Path,
    largest_file: int | None = None,
    more: Sequence[str] = (),
) -> Ended:
    """Give the command, or the one that goes on with what it left."""
    module, arguments = {
        "run": ("mcqa.train", _goes_on(base, folder)),
        "run without MLflow": ("mcqa.train", [*_goes_on(base, folder), "tracking=none"]),
        "evaluation": ("mcqa.evaluate", [f"run={run_folder}"]),
        "comparison": ("mcqa.compare", [str(run_folder), "resamples=100"]),
        "study": ("mcqa.train", ["--multirun", *small_run(base), "tracking=none", "hydra/launcher=basic",
                                 "hydra.sweeper.study_name=s", "hydra.sweeper.poll_s=0.01", *STUDY]),
    }[command]  # fmt: skip
    if arguments[0].startswith("resume="):
        arguments = arguments[:1]
    return run(module, [*arguments, *more], folder, largest_file=largest_file)


def _complete(command: str, folder: Path, ended: Ended) -> None:
    """Whatever the command brings is there."""
    outputs = folder / "outputs"
    if command == "comparison":
        (compared, *_) = [*outputs.glob("compare/*/comparison.json")][-1:] or [None]
        same(
            "comparison.json is there",
            compared is not None and "pairs" in json.loads(compared.read_text()),
            True,
            ended,
        )
    elif command == "study":
        told = [_status(trial) for trial in (outputs / "sweeps" / "s" / "trials").iterdir()]
        same("complete trials", told.count("complete"), len(TRIALS), ended)
    else:
        found = runs_of(folder, "evaluate" if command == "evaluation" else "smoke")
        same("how a run ended", [*map(_status, found)][-1:], ["complete"], ended)


def _judge(command: str, ended: Ended, folder: Path) -> None:
    sound(ended)
    if ended.code == 0:
        return _complete(command, folder, ended)
    refused(ended, *SAYS)


def _goes_on_well(command: str, base: Path, run_folder: Path, folder: Path) -> Ended:
    """With room on the disk, what is told to do brings the result."""
    again = _try_again(command, base, run_folder, folder)
    if command == "study" and again.code == 1 and FURTHER in again.output:  # its trials have failed, and stay so
        again = _try_again(command, base, run_folder, folder, more=[f"{FURTHER}={2 * len(TRIALS)}"])
    succeeded(again)
    _complete(command, folder, again)
    return again


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _limited(command: str, size: int, base: Path, run_folder: Path, folder: Path) -> None:
    before = _contents(run_folder)
    _judge(command, _try_again(command, base, run_folder, folder, largest_file=size), folder)
    again = _goes_on_well(command, base, run_folder, folder)
    same("the finished run", _contents(run_folder) == before, True, again)
    if command == "study":
        look_at(folder / "outputs" / "sweeps" / "s", folder)


def _on_disk(command: str, size: str, base: Path, run_folder: Path, folder: Path) -> None:
    outputs = folder / "outputs"
    outputs.mkdir()
    mounted(outputs, "4m" if size == "read-only" else size)
    try:
        if size == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(outputs)], check=True)
        _judge(command, _try_again(command, base, run_folder, folder), folder)
        subprocess.run(["mount", "-o", "remount,rw,size=64m", str(outputs)], check=True)
        _goes_on_well(command, base, run_folder, folder)
    finally:
        subprocess.run(["umount", "-l", str(outputs)], check=True)


def mounted(place: Path, size: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], check=True)


# --- servers ----------------------------------------------------------------------------------------------------------

Answer = Callable[[BaseHTTPRequestHandler], None]


def _says(status: int, body: bytes = b"", kind: str = "text/html", length: int | None = None) -> Answer:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        if status == 302:
            request.send_header("Location", request.path)
        request.end_headers()
        request.wfile.write(body)

    return answer


def _silent(request: BaseHTTPRequestHandler) -> None:
    time.sleep(600)


def _slow(request: BaseHTTPRequestHandler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"{" * 1000:
        request.wfile.write(bytes([byte]))
        request.wfile.flush()
        time.sleep(1)


def _half_and_silent(request: BaseHTTPRequestHandler) -> None:
    _says(200, b'{"experiment"', "application/json", 5000)(request)
    request.wfile.flush()
    time.sleep(600)


PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
ANSWERS: dict[str, Answer] = {
    "never answers": _silent,
    "401": _says(401, b"Unauthorized"),
    "403": _says(403, b"Invalid Host header"),
    "404": _says(404, PAGE),
    "500": _says(500, PAGE),
    "503": _says(503, b""),
    "a page": _says(200, PAGE),
    "nothing": _says(200),
    "garbage": _says(200, bytes(range(256)), "application/json"),
    "JSON of something else": _says(200, b'{"status": "ok"}', "application/json"),
    "a list": _says(200, b"[1, 2]", "application/json"),
    "deep JSON": _says(200, b"[" * 100_000, "application/json"),
    "half an answer": _says(200, b'{"experiment"', "application/json", 5000),
    "half an answer and waits": _half_and_silent,
    "a byte a second": _slow,
    "itself for ever": _says(302),
}


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A server that answers every request so, in a process of its own; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as listening:
        if (pid := os.fork()) == 0:
            try:
                listening.serve_forever()
            finally:
                os._exit(0)
        try:
            yield int(listening.server_address[1])
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _answering(answer: Answer, folder: Path) -> Iterator[str]:
    with server(answer) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _closed_port(folder: Path) -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def _address(uri: str, folder: Path) -> Iterator[str]:
    yield uri


@contextmanager
def _database(content: bytes, folder: Path) -> Iterator[str]:
    (folder / "mlflow.db").write_bytes(content)
    yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def _folder_as_database(folder: Path) -> Iterator[str]:
    (folder / "mlflow.db" / "file").mkdir(parents=True)
    yield f"sqlite:///{folder}/mlflow.db"


@contextmanager
def _locked_database(folder: Path) -> Iterator[str]:
    with sqlite3.connect(folder / "mlflow.db", isolation_level=None) as database:
        database.execute("create table other (x)")
        database.execute("begin exclusive")
        yield f"sqlite:///{folder}/mlflow.db"
        database.execute("rollback")


@contextmanager
def _read_only_database(folder: Path) -> Iterator[str]:
    place = folder / "read-only"
    place.mkdir()
    root = os.geteuid() == 0  # who may write whatever a file's mode is
    if root:
        mounted(place, "4m")
    try:
        sqlite3.connect(place / "mlflow.db").close()
        (place / "mlflow.db").touch()
        if root:
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        else:
            (place / "mlflow.db").chmod(0o400)
            place.chmod(0o500)
        yield f"sqlite:///{place}/mlflow.db"
    finally:
        if root:
            subprocess.run(["umount", "-l", str(place)], check=True)
        else:
            place.chmod(0o700)


def servers(seed: int, count: int, base: Path) -> Iterator[Try]:
    finished(base)
    places = {f"a server says {name}": _given(_answering, answer) for name, answer in ANSWERS.items()}
    places |= {
        "a closed port": _closed_port,
        "no such host": _given(_address, "http://nowhere.invalid:5000"),
        "no such port": _given(_address, "http://127.0.0.1:99999"),
        "a database that is noise": _given(_database, random.Random(seed).randbytes(50_000)),
        "a database that is cut off": _given(_database, b"SQLite format 3\0" + bytes(84)),
        "a database that is a folder": _folder_as_database,
        "a database that another program holds": _locked_database,
        "a database that is read-only": _read_only_database,
        "a database in no folder": _given(_address, "sqlite:////proc/nowhere/mlflow.db"),
        "a PostgreSQL that is not there": _given(_address, "postgresql://me@127.0.0.1:1/mlflow"),
    }
    for name, place in places.items():
        yield Try("servers", name, lambda folder, place=place: _tracked(place, base, folder))


def _given(manager, value):
    return lambda folder: manager(value, folder)


def _tracked(place, base: Path, folder: Path) -> None:
    with place(folder) as uri:
        ended = run("mcqa.train", [*small_run(base), f"tracking.uri={uri}"], folder)
    if ended.code == 1 and "tracking.uri" in ended.output and not runs_of(folder):
        return sound(ended)  # it has told so before anything ran
    succeeded(ended)
    if ended.seconds > LONGEST_S:
        raise Wrong("hang", f"took {ended.seconds:.0f} s", ended)
    (last,) = runs_of(folder)
    same("how it ended", _status(last), "complete", ended)
    same("warnings", ended.output.count("could not be updated"), 1, ended)
    kinds = [json.loads(line)["event"] for line in (last / "events.jsonl").read_text().splitlines()]
    undisturbed, _ = finished(base)
    expected = [json.loads(line)["event"] for line in (undisturbed / "events.jsonl").read_text().splitlines()]
    missing = [kind for kind in set(expected) if kind != "metrics" and kinds.count(kind) != expected.count(kind)]
    same("kinds of events that are missing", missing, [], ended)
    same("its last event", kinds[-1], "finish", ended)
