"""What many tests need: configurations, a small question file, a model to train in seconds."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from mcqa.config.composition import Tree, compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import facts

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands set it
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs a network
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the workers share the cores

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


def smaller(questions_folder: Path, folder: Path) -> list[str]:
    return [
        "data=local",
        f"data.path={questions_folder}",
        "data.columns.subject=subject",
        "data.columns.id=id",
        "optimizer.batch_size=8",
        "objective.max_steps=2",
        "evaluation.every=1",
        "tracking=none",
        f"outputs={folder}/outputs",
    ]


def configured(overrides: list[str]) -> tuple[Config, Tree]:
    """The typed and the plain configuration for these overrides."""
    tree = compose("config", overrides)
    return typed(tree, Config), tree


def trained(overrides: list[str]) -> tuple[Path, dict[str, Any]]:
    """Run it; the folder and its result.json."""
    from mcqa import train
    from mcqa.runs import run_folder
    from mcqa.runs.files import read_json

    config, tree = configured(overrides)
    folder = run_folder.create(config.outputs, config.name, tree, overrides)
    train.run(config, tree, folder)
    return folder, read_json(folder / "result.json")
