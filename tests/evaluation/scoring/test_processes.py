"""Several processes share the questions and all of them end with the scores that one alone finds.

Two real processes on the CPU score every case of two_processes.py, started once for all tests of this module. A case
that waits for ever is ended from here; the tests of that case and of those behind it then fail.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcqa.evaluation.scoring.scorer import score
from tests.evaluation.scoring.test_scorer import counting_forward_passes
from tests.evaluation.scoring.two_processes import CASES, SECONDS

pytestmark = pytest.mark.slow

PROCESSES = 2
LIMIT_S = 180  # for all cases together, on a busy machine; they take 15
ERRORS = {"too short of memory"}
SCORED = [name for name in CASES if name not in ERRORS]


@dataclass(frozen=True)
class Outcome:
    """What each process wrote down, by case; and the end of what they printed."""

    found: dict[str, list[dict[str, Any]]]
    printed: str

    def of(self, name: str) -> list[dict[str, Any]]:
        if name not in self.found:
            pytest.fail(f"not every process came to the end of {name!r}. They printed: {self.printed}")
        return self.found[name]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("processes")
    processes = [_started(rank, folder) for rank in range(PROCESSES)]
    try:
        _wait(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    found = {}
    for number, name in enumerate(CASES):
        files = [folder / f"{number}.{rank}.json" for rank in range(PROCESSES)]
        if all(file.exists() for file in files):
            found[name] = [json.loads(file.read_text()) for file in files]
    return Outcome(found, "".join((folder / f"{rank}.txt").read_text()[-1500:] for rank in range(PROCESSES)))


def _started(rank: int, folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / f"{rank}.txt").open("w") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.evaluation.scoring.two_processes", str(rank), str(PROCESSES), str(folder)],
            stdout=printed,
            stderr=printed,
            cwd=Path(__file__).parents[3],
        )


def _wait(processes: "list[subprocess.Popen[bytes]]") -> None:
    """Until all have ended, one has failed and the others have had the time to notice, or the limit is reached."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until and any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            until = min(until, time.monotonic() + SECONDS)
        time.sleep(0.05)


@pytest.mark.parametrize("name", SCORED)
def test_all_processes_have_the_scores_that_one_alone_finds(outcome, name):
    first, *others = outcome.of(name)
    assert "error" not in first, first["error"]
    model = CASES[name].build()
    CASES[name].trained(model)
    alone = score(model, CASES[name].questions(), CASES[name].budget)
    flat, wanted = ([value for row in rows for value in row] for rows in (first["scores"], alone.scores))
    assert [len(row) for row in first["scores"]] == [len(row) for row in alone.scores]
    assert flat == pytest.approx(wanted, abs=1e-4)
    assert first["truncated"] == alone.truncated
    assert all(other["scores"] == first["scores"] and other["truncated"] == first["truncated"] for other in others)


@pytest.mark.parametrize("name", CASES)
def test_all_processes_make_as_many_forward_passes(outcome, name):
    assert len({found["passes"] for found in outcome.of(name)}) == 1


@pytest.mark.parametrize("name", SCORED)
def test_all_processes_use_the_same_method_and_leave_the_model_as_it_was(outcome, name):
    found = outcome.of(name)
    assert len({one["method"] for one in found}) == 1
    assert all(one["training"] and one["as placed before"] for one in found)


@pytest.mark.parametrize("name", ["replicated: 7 questions", "sharded: a shared prefix", "sharded, no trees"])
def test_the_batches_are_shared_out(outcome, name):
    model = CASES[name].build()
    with counting_forward_passes(model) as shapes:
        score(model, CASES[name].questions(), CASES[name].budget)
    assert outcome.of(name)[0]["passes"] <= len(shapes) - 2


@pytest.mark.parametrize("name", [name for name in SCORED if "no trees" in name])
def test_a_model_that_cannot_read_trees_in_one_process_gets_a_row_for_each_choice_in_all(outcome, name):
    assert all("cannot read choices as a tree" in found["method"] for found in outcome.of(name))


def test_memory_that_runs_out_in_one_process_makes_the_batches_of_all_smaller(outcome):
    plenty, short = outcome.of("plenty of memory")[0], outcome.of("short of memory")[0]
    assert short["passes"] > plenty["passes"]
    assert "the choices share its prompt." in short["method"] and short["method"] == plenty["method"]


def test_a_question_too_large_for_one_process_is_the_same_error_in_all(outcome):
    first, second = outcome.of("too short of memory")
    assert first["error"] == second["error"]
    assert "ModelError: a question of" in first["error"] and "too much for the memory" in first["error"]
