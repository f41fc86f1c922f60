"""What many tests need: configurations, a small question file, a model to train in seconds."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from mcqa.data import facts
from tests.small_runs import smaller, trained

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands set it
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs a network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores

pytest_plugins = ["tests.models.fake_hub"]  # fixtures of tests/models and of test_prefetch.py
collect_ignore = ["cluster"]  # unless named: they start a cluster (make test-cluster)

settings.register_profile("unhurried", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="only tests that start no process and train nothing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--fast"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def only_fast_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --fast a test that starts a process or trains fails: it lacks the marker `slow`."""
    if not request.config.getoption("--fast"):
        yield
        return
    from mcqa.runs import environment
    from mcqa.training.resume import ResumableTrainer

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("this test starts a process or trains: mark it with @pytest.mark.slow")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", refuse)
        patch.setattr(os, "fork", refuse)
        patch.setattr(ResumableTrainer, "train", refuse)
        patch.setattr(environment, "_git", lambda *_: None)  # every run and study asks for its commit
        yield


@pytest.fixture(scope="session")
def questions_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, dev and test of data=local: few enough questions to train on in seconds."""
    folder = tmp_path_factory.mktemp("questions")
    for split, count in (("train", 40), ("dev", 12), ("test", 16)):
        rows = [
            {"id": q.id, "question": q.question, "choices": list(q.choices), "answer": q.answer, "subject": q.subject}
            for q in facts.questions(split)[::7][:count]
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def small(questions_folder: Path, tmp_path: Path) -> list[str]:
    """Overrides that make any run small: 40 questions, two updates, everything under tmp_path."""
    return smaller(questions_folder, tmp_path)


@pytest.fixture(scope="session")
def finished_run(questions_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and result of a run that is complete and in MLflow, for tests that only read it.

    Some training examples were too long for it; the database is outputs/mlflow.db above its folder.
    """
    overrides = [*smaller(questions_folder, tmp_path_factory.mktemp("finished")), "+experiment=smoke", "seed=3"]
    told = ["data.licence=CC BY-SA 4.0", "data.source='https://me:hunter2@host/questions'"]
    return trained([*overrides, *told, "tracking=mlflow", "objective.max_length=28"])
