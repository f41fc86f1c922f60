"""The command: from its arguments to the page, and mistakes without a traceback."""

import os
import subprocess
import sys

import pytest

from mcqa.compare import __main__
from mcqa.config.composition import PACKAGE
from tests.compare.finished_runs import make_run

HEAVY = ("torch", "transformers", "mlflow", "numpy", "scipy", "matplotlib", "hydra")


def command(*arguments, cwd):
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "mcqa.compare", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "100", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_two_runs_from_the_command_line_to_the_page(tmp_path):
    make_run(tmp_path, "a", [False] * 30 + [True] * 30, peft__rank=8)
    make_run(tmp_path, "b", [True] * 60, peft__rank=16)
    done = command("outputs/runs/mine/a", "outputs/runs/mine/b", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "The run with rank=16 is significantly better than the run with rank=8 (+50.0 points, 95 % CI " in done.stdout
    )
    assert "MDD: minimum detectable difference in points (80 % power)\n" in done.stdout
    assert "; * significant at 5 %\n" in done.stdout  # not broken at the table's width
    [folder] = (tmp_path / "outputs" / "compare").iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "calibration.csv",
        "comparison.html",
        "comparison.json",
        "looks.jsonl",
        "losses.csv",
        "pairs.csv",
        "questions.csv",
        "pictures",
    }
    assert f"Page: outputs/compare/{folder.name}/comparison.html" in done.stdout


@pytest.mark.slow
def test_a_mistake_is_a_message_and_status_1(tmp_path):
    done = command("nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "nowhere is no run folder: there is no config.yaml in it.\n"
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.slow
def test_help_and_mistakes_import_nothing_heavy(tmp_path):
    code = f"""
import runpy, sys
sys.argv[1:] = ["metrc=1"]
try:
    runpy.run_module("mcqa.compare", run_name="__main__", alter_sys=True)
finally:
    print("IMPORTED", *sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)
"""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "metrc: unknown option" in done.stderr
    assert "IMPORTED\n" in done.stderr


def test_help_is_printed_whatever_else_is_typed(capsys):
    __main__.main(["nowhere", "--help"])
    assert "RUN is a run folder" in capsys.readouterr().out


def test_a_dry_run_says_what_would_be_compared_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = make_run(tmp_path, "a", [False], peft__rank=8), make_run(tmp_path, "b", [True], peft__rank=16)
    __main__.main([str(one), str(other), "dry_run=true", "track=true"])
    message = capsys.readouterr().out
    assert "Would compare acc on test, 1 question:" in message
    assert "2 rank=16 (seed 0): outputs/runs/mine/b" in message
    assert "and to MLflow" in message
    assert not (tmp_path / "outputs" / "compare").exists()
