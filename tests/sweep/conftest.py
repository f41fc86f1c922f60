"""A small app, run by the sweeper in this process."""

import sys

import hydra
import pytest

CONFIG = """
defaults:
  - _self_
  - kind: plain
  - override hydra/sweeper: mcqa
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
hydra:
  job: {name: app}
  output_subdir: null
  sweep: {dir: "studies/${hydra.sweeper.study_name}"}
x: 0.5
y: 1
do: return
seed: 0
dry_run: false
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Runs an app whose configuration is CONFIG in this process, as `python app.py --multirun …` in tmp_path."""
    (tmp_path / "conf" / "kind").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    for kind in ("plain", "odd"):
        (tmp_path / "conf" / "kind" / f"{kind}.yaml").write_text(f"name: {kind}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # errors come out as they are

    def run(task, *overrides):
        monkeypatch.setattr(sys, "argv", ["app.py", "--multirun", *overrides])
        monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as of a script
        hydra.main(version_base="1.3", config_path=str(tmp_path / "conf"), config_name="config")(task)()
        return tmp_path / "studies"

    return run
