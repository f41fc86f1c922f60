"""A folder as the controller leaves it for a trial, and a small app that behaves as its configuration says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.callbacks import Callbacks
from hydra.types import HydraContext

from mcqa.runs.mailbox import Mailbox, Submission

HYDRA: dict[str, Any] = {
    "mode": "MULTIRUN",
    "job": {"name": "app", "chdir": False, "id": "???", "num": "???"},
    "sweep": {"dir": "somewhere", "subdir": "${hydra.job.num}"},
    "overrides": {"task": ["x=1"]},
    "job_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
    "output_subdir": None,
    "runtime": {"choices": {"model": "small"}},
}
CONTEXT = HydraContext(config_loader=None, callbacks=Callbacks())  # type: ignore[arg-type]


def trial_folder(
    root: Path, number: int = 0, hydra: dict[str, Any] | None = None, study: bool = True, **config: Any
) -> Path:
    folder = root / "trials" / str(number)
    folder.mkdir(parents=True)
    if study:
        (root / "study.yaml").touch()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {**HYDRA, **(hydra or {})}}))
    return folder


def never_named(folder: Path) -> Submission:
    """As when the controller dies between the start of a job and writing down which it is."""
    entries = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps([{**entry, "job": None} for entry in entries]))
    return Mailbox(folder).submissions()[0]


def app() -> Callable[[Any], Any]:
    """The app: a function that no import would find, as in any script that is run."""

    def task(cfg: Any) -> Any:
        import os
        import signal
        import subprocess
        import sys
        import time
        from pathlib import Path

        from mcqa.runs import trial

        me = trial.current()
        assert me is not None
        if cfg.do == "return":
            return cfg.x
        if cfg.do == "raise":
            raise ValueError("no such luck")
        if cfg.do == "exit":
            sys.exit("bad option")
        if cfg.do == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if cfg.do == "report":
            for point in range(1000):
                me.report(point / 10, point=point)
                if me.should_prune():
                    raise trial.Pruned
                time.sleep(0.02)
        if cfg.do == "hang":
            child = subprocess.Popen(["sleep", "1000"])
            (Path(me.folder) / "child").write_text(f"{os.getpid()} {child.pid}\n")
            while not (Path(me.folder) / "go").exists():
                time.sleep(0.02)
            child.kill()
            return 7.0
        return None

    return task
