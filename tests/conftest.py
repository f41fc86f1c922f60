"""What many tests need: configurations, a small question file, a model to train in seconds."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import settings

from mcqa.data import facts
from tests.small_runs import smaller

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands set it
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs a network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores

pytest_plugins = ["tests.models.fake_hub"]  # fixtures of tests/models and of test_prefetch.py
collect_ignore = ["cluster"]  # unless named: they start a cluster (make test-cluster)

settings.register_profile("unhurried", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("unhurried")


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
