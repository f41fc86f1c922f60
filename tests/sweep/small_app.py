"""A Hydra app without a YAML file that knows nothing of ours: python tests/sweep/small_app.py --multirun …

A trial does what `do` says. With `trace`, a folder, it leaves a line of its process there at every start.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore

from mcqa.runs import trial


@dataclass
class Config:
    x: float = 0.5
    do: str = "return"
    trace: str | None = None


ConfigStore.instance().store(name="small", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="small")
def app(cfg: Any) -> Any:
    me = trial.current()
    number = Path(os.environ[trial.VARIABLE]).name if trial.VARIABLE in os.environ else None  # also without a study
    if number and cfg.trace:
        with (Path(cfg.trace) / number).open("a") as file:
            file.write(f"{os.getpid()}\n")
    if cfg.do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if number and cfg.do == "wait":  # until the test lets it go on
        for _ in range(6000):
            if (Path(cfg.trace) / f"go-{number}").exists():
                break
            time.sleep(0.02)
    if me and cfg.do == "learn":
        for point in range(3000):
            me.report(cfg.x, point=point)
            if me.should_prune():
                raise trial.Pruned
            time.sleep(0.02)
    if me and cfg.do == "climb":
        climb(me, cfg)
    return cfg.x


def climb(me: trial.Trial, cfg: Any) -> None:
    """Take eight steps, each noted once, and go on from the last one after a pause. A step lasts until it is judged."""
    saved = me.folder / "checkpoints" / "step"
    for step in range(int(saved.read_text()) if saved.exists() else 1, 9):
        with (me.folder / "steps").open("a") as file:
            file.write(f"{step}\n")
        me.report(cfg.x * step, point=step)
        for _ in range(100):
            if me.should_pause() or (me.folder / "go").exists():
                break
            time.sleep(0.01)
        if me.should_pause() and step < 8:
            saved.parent.mkdir(exist_ok=True)
            saved.write_text(str(step + 1))
            raise trial.Paused


if __name__ == "__main__":
    app()
