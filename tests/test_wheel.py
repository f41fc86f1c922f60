"""The wheel, installed into an empty environment elsewhere, does what the checkout does."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from mcqa.config.composition import ROOT

pytestmark = pytest.mark.slow


def run(*command, cwd):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder with `python` of an environment that has the wheel; dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    run(*build, cwd=folder)
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=folder).strip())
    (wheel,) = folder.glob("mcqa-*.whl")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", packages, wheel, cwd=folder)
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder, python


def test_the_installed_wheel_composes_from_its_own_conf(elsewhere):
    folder, python = elsewhere
    where = run(python, "-c", "from mcqa.config import composition; print(composition.ROOT)", cwd=folder).strip()
    assert str(folder) in where
    assert "name: qlora_mcqa" in run(python, "-m", "mcqa.train", "+experiment=qlora_mcqa", "--cfg", "job", cwd=folder)
    assert "learning_rate" in run(python, "-m", "mcqa.train", "--help", "+sweeps=learning_rate", cwd=folder)
    assert "run=<run folder>" in run(python, "-m", "mcqa.evaluate", "--help", cwd=folder)
    assert "mcqa <command>" in run(python, "-m", "mcqa", cwd=folder)
    assert "+sweeps=smoke" in run(python, "-m", "mcqa.completion", "suggest", "mcqa train +sweeps=s", cwd=folder)


def test_the_installed_wheel_trains_with_an_own_conf_folder(elsewhere):
    folder, python = elsewhere
    mine = folder / "mine" / "evaluation"
    mine.mkdir(parents=True)
    (mine / "rarely.yaml").write_text("defaults: [default]\nevery: 2\nlimit: 20\n")
    options = (
        "--config-dir",
        "mine",
        "+experiment=smoke",
        "evaluation=rarely",
        "evaluation.limit=20",
        "evaluation.every=2",
    )
    shown = run(python, "-m", "mcqa.train", *options, cwd=folder)
    assert "Accuracy on test" in shown
    assert len(list((folder / "outputs" / "runs" / "smoke").iterdir())) == 1
