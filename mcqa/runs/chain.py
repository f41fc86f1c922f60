"""The stages of a run as folders: each before the last is a complete run in stages/<name>, below that of the last one.

The base of a stage is the model of the stage before, wherever the folder lies by then.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from mcqa.config.base_run import trained_model
from mcqa.config.schema import Config
from mcqa.config.secrets import without_secrets
from mcqa.config.validation import typed
from mcqa.runs import processes, run_folder, tracking
from mcqa.runs.files import flatten, read_yaml, write_yaml
from mcqa.runs.mailbox import Mailbox
from mcqa.runs.run_folder import STAGES, chain_of
from mcqa.runs.trial import Preempted, Trial


def place(folder: Path) -> tuple[list[str], int] | None:
    """Return the names of all stages, and which of them, from 0, the run in this folder is; None for a run alone."""
    chain = chain_of(folder)
    stored = run_folder.config_of(chain or folder)
    stages = stored.get(STAGES) if "splits" not in stored else None  # of mcqa.evaluate, which trains nothing
    names = [str(stage["name"]) for stage in stages] if isinstance(stages, list) else []
    if not names or (chain is not None and folder.name not in names):
        return None
    return names, len(names) - 1 if chain is None else names.index(folder.name)


def title(folder: Path) -> list[str]:
    """Return a line that says which stage of a run this is; none for a run of a single training."""
    if (its := place(folder)) is None:
        return []
    names, number = its
    return [f"Stage {number + 1} of {len(names)}: {names[number]}"]


def stage_before(folder: Path) -> Path | None:
    """Return the folder of the stage whose model is the base of this run; None where the configuration names it."""
    if (its := place(folder)) is None or its[1] == 0:
        return None
    names, number = its
    return (chain_of(folder) or folder) / STAGES / names[number - 1]


def model_keys(before: Path) -> dict[str, Any]:
    """Return the keys of a model that is the one of an earlier stage; the others stay as they are."""
    path = trained_model(str(before))
    return {"path": path} | dict.fromkeys(["revision", "tokenizer", "architecture", "vocabulary_size"])


def stage_folder(chain: Path, name: str) -> Path:
    """Return the folder of a stage; the first process makes it, and writes its configuration as of a run of its own."""
    folder = chain / STAGES / name
    if processes.is_first() and not (folder / "config.yaml").exists():
        stored = run_folder.config_of(chain)
        (stage,) = (one for one in stored[STAGES] if one["name"] == name)
        own = stage["config"] | {key: stored[key] for key in ("outputs", "dry_run", "resume", "from_run")}
        own |= {"name": f"{stored['name']}.{name}", STAGES: []}
        if (before := stage_before(folder)) is not None:
            own["model"] = own["model"] | model_keys(before)
        run_folder.make(folder, exist_ok=True)
        write_yaml(folder / "overrides.yaml", [*_overrides(chain), *stage["overrides"], f"{STAGES}=null"])
        write_yaml(folder / "config.yaml", own)
    processes.broadcast(0)  # the others wait
    return folder


def _overrides(chain: Path) -> list[str]:
    path = chain / "overrides.yaml"
    return read_yaml(path) or [] if path.exists() else []


def config_of_stage(folder: Path) -> Config:
    """Return the configuration of a stage, as stage_folder has written it."""
    return typed(run_folder.config_of(folder), Config)


@contextmanager
def underway(config: Config, folder: Path, trial: Trial | None) -> Iterator[None]:
    """Run the stages before the last one in the block: MLflow shows the run that holds them, and how it ended there.

    A trial's stages are a part of it, and not in the tracker.
    """
    if not processes.is_first() or trial is not None:
        yield
        return
    Mailbox(folder).delete_result()  # of an earlier start
    spool = tracking.Spool(folder)
    config_dict = run_folder.config_of(folder)
    if config.tracking.name == "mlflow":
        spool.start(run_folder.name_of(config_dict), without_secrets(flatten(config_dict)), {})
        _send(config, folder)
    status: Literal["FAILED", "KILLED"] | None = "FAILED"
    try:
        yield
        status = None
    except Preempted:
        status = "KILLED"
        raise
    except KeyboardInterrupt as stop:
        status = "KILLED"
        raise KeyboardInterrupt(str(stop) or f"Stopped. {run_folder.how_to_resume(folder)}") from None
    finally:
        if status is not None and config.tracking.name == "mlflow":
            spool.append("finish", status=status)
            _send(config, folder)


def _send(config: Config, folder: Path) -> None:
    tracking.send_run(config.tracking, folder, run_folder.outputs_of(folder, config.outputs))


def results(chain: Path) -> list[dict[str, Any]]:
    """Return what each stage before the last one has measured and cost, as result.json of the last one has it."""
    kept = ("value", "metrics", "seconds", "peak_memory_bytes")
    names, _ = place(chain) or ([], 0)
    read = {name: run_folder.read_result(chain / STAGES / name) for name in names[:-1]}
    return [{"name": name, **{key: result.get(key) for key in kept}} for name, result in read.items()]


def remove_weights(trial: Path) -> None:
    """Remove what a trial that has ended needs no more: its checkpoints, and the models of its stages."""
    for folder in [trial, *trial.glob(f"{STAGES}/*")]:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if folder != trial:
            for name in ("model", "export"):
                shutil.rmtree(folder / name, ignore_errors=True)
