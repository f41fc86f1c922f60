"""Areas `run_folders` and `studies`: what commands do with a folder that something has damaged."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.attacks.running import QUIET, ROOT, Ended, Try, refused, run, same, succeeded
from mcqa.data import facts
from tests.attack import run_folders, studies

SMALL = ("data=local", "data.limit=null", "data.columns.id=id", "optimizer.batch_size=4", "evaluation.every=1")
TRIALS = range(3)


def small_run(base: Path) -> list[str]:
    """Return the arguments of the small run that everything is about; its questions are written on the first call."""
    questions = base / "questions"
    if not questions.exists():
        questions.mkdir()
        for split, count in (("train", 24), ("dev", 8), ("test", 10)):
            rows = [
                {"id": q.id, "question": q.question, "choices": list(q.choices), "answer": q.answer}
                for q in facts.questions(split)[::7][:count]
            ]
            (questions / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return ["+experiment=smoke", *SMALL, f"data.path={questions}"]


def finished(base: Path) -> tuple[Path, float]:
    """Return the small run, which is made on the first call, and the seconds that it took."""
    outputs, told = base / "finished", base / "finished.json"
    if not told.exists():
        base.mkdir(exist_ok=True)
        ended = run("mcqa.train", [*small_run(base), f"outputs={outputs}"], base, own_process=True)
        succeeded(ended)
        told.write_text(json.dumps(ended.seconds))
    (folder,) = (outputs / "runs").glob("smoke-*/*")
    return folder, json.loads(told.read_text())


def result(folder: Path) -> dict[str, Any]:
    """Return what a run says of itself."""
    path = folder / "result.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def weights(folder: Path) -> bytes:
    return (folder / "model" / "adapter_model.safetensors").read_bytes()


# --- runs -------------------------------------------------------------------------------------------------------------


def run_folder_tries(seed: int, count: int, base: Path) -> Iterator[Try]:
    run_folder, _ = finished(base)
    before = {}
    for command in run_folders.COMMANDS:
        place = base / f"undamaged-{command}"
        place.mkdir()
        ended = _command(command, _copied(run_folder, place, command), place)
        succeeded(ended)
        before[command] = _got(command, ended, place)
    for case in run_folders.cases(seed, count):
        yield Try("run_folders", case.name, lambda folder, case=case: _run_folder(case, run_folder, before, folder))


def _copied(run_folder: Path, place: Path, command: str) -> Path:
    copy = place / "run"
    shutil.copytree(run_folder, copy)
    if command == "resume":
        run_folders.interrupt(copy)
    return copy


def _command(command: str, copy: Path, place: Path) -> Ended:
    module, arguments = {
        "resume": ("mcqa.train", [f"resume={copy}"]),
        "evaluate": ("mcqa.evaluate", [f"run={copy}", "tracking=none", f"outputs={place}/outputs"]),
        "compare": ("mcqa.compare", [str(copy), "resamples=100", f"out={place}/compared", f"outputs={place}/outputs"]),
        "from_run": ("mcqa.train", [f"from_run={copy}", "dry_run=true", f"outputs={place}/outputs"]),
    }[command]
    return run(module, arguments, place)


def _got(command: str, ended: Ended, place: Path) -> Any:
    """What a command brought, without what differs from one call to the next."""
    if command == "from_run":
        return ended.output.replace(str(place), "")
    if command == "compare":
        compared = json.loads((place / "compared" / "comparison.json").read_text())
        return [[each[key] for key in ("mean", "low", "high")] for each in compared["configurations"]]
    if command == "evaluate":
        (folder,) = (place / "outputs" / "runs").glob("evaluate*/*")
        return result(folder)["metrics"]
    return result(place / "run")["metrics"], weights(place / "run")


def _run_folder(case: run_folders.Case, run_folder: Path, before: dict[str, Any], place: Path) -> None:
    copy = _copied(run_folder, place, case.command)
    case.damage(copy)
    ended = _command(case.command, copy, place)
    if case.error is not None:
        return refused(ended, case.error)
    succeeded(ended)
    same("what it brought", _got(case.command, ended, place), before[case.command], ended)


# --- studies ----------------------------------------------------------------------------------------------------------

STUDY = (
    "optimizer.learning_rate=interval(1e-4,1e-2)",
    "hydra/sweeper/sampler=random",
    f"hydra.sweeper.n_trials={len(TRIALS)}",
)
PRODUCT = ("seed=1,2,3",)
FOLDER = Path("outputs", "sweeps", "s")


def study_command(base: Path, begun_as: str) -> list[str]:
    own = PRODUCT if begun_as == "product" else STUDY
    return [
        "--multirun", *small_run(base), "tracking=none", "hydra/launcher=basic", "hydra.sweeper.study_name=s",
        "hydra.sweeper.poll_s=0.01", *own,
    ]  # fmt: skip


def begun(base: Path, begun_as: str) -> Path:
    """Return the folder of a small study as it was left, which is made on the first call."""
    place = base / begun_as
    if not place.exists():
        place.mkdir(parents=True)
        command = study_command(base, begun_as)
        if begun_as == "finished":
            succeeded(run("mcqa.train", command, place, own_process=True))
        else:
            _interrupted(command, place)
    return place / FOLDER


def _interrupted(command: Sequence[str], place: Path) -> None:
    """Start a study and kill it as soon as its last trial has begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mcqa.train", *command],
        cwd=place,
        env=os.environ | QUIET | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    last = place / FOLDER / "trials" / str(TRIALS[-1])
    deadline = time.monotonic() + 300
    while not all((last / name).exists() for name in ("config.yaml", "hydra.yaml", "job.json", "overrides.yaml")):
        assert process.poll() is None and time.monotonic() < deadline, "no study was killed in its last trial"
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (last / "result.json").exists() or "status" not in result(last), "the study was killed too late"


def study_tries(seed: int, count: int, base: Path) -> Iterator[Try]:
    base = base / "studies"
    base.mkdir()
    for begun_as in ("finished", "unfinished", "product"):
        begun(base, begun_as)
    for case in studies.cases(seed, count):
        yield Try("studies", f"{case.begun_as}: {case.name}", lambda folder, case=case: _study(case, base, folder))


def ended_trials(folder: Path) -> dict[int, Any]:
    """Return the values of those that have ended: of trials from the table of a study, else of results."""
    table = folder / "trials.csv"
    if table.exists() and (folder / "journal.log").exists():
        rows = [row for row in csv.DictReader(table.open()) if row["status"] == "complete"]
        return {int(row["number"]): float(row["value"]) for row in rows}
    told = {number: _readable(folder / "trials" / str(number)) for number in TRIALS}
    return {number: content["value"] for number, content in told.items() if "status" in content}


def _readable(folder: Path) -> dict[str, Any]:
    try:
        content = result(folder)
    except (OSError, ValueError):
        return {}
    return content


def _study(case: studies.Case, base: Path, place: Path) -> None:
    folder = place / FOLDER
    shutil.copytree(begun(base, case.begun_as), folder)
    before = ended_trials(folder)
    case.damage(folder)
    look_at(folder, place)
    files = _contents(folder)
    ended = run("mcqa.train", study_command(base, case.begun_as), place)
    if case.expected == "error":
        refused(ended, case.message)
        same("files of the study", sorted(map(str, _differing(files, folder))), [], ended)
    else:
        succeeded(ended)
        now = ended_trials(folder)
        same("values of trials that had ended", {number: now.get(number) for number in before}, before, ended)
        same("trials that ended", sorted(now), list(TRIALS), ended)
    look_at(folder, place)


def look_at(folder: Path, place: Path) -> None:
    """The list of jobs and the report never fail."""
    succeeded(run("mcqa.jobs", [str(folder)], place))
    succeeded(run("mcqa.sweep.report", [str(folder)], place))


def _contents(folder: Path) -> dict[Path, bytes]:
    """What no error may change."""
    files = [folder / "study.yaml", folder / "product.yaml", *(folder / "trials").glob("**/*")]
    return {path: path.read_bytes() for path in files if path.is_file()}


def _differing(files: dict[Path, bytes], folder: Path) -> set[Path]:
    now = _contents(folder)
    return {path for path in files.keys() | now.keys() if files.get(path) != now.get(path)}
