"""The run folder: where one run keeps everything."""

import os
import re
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from mcqa.config.errors import ConfigError, quoted
from mcqa.config.schema import ConfigDict
from mcqa.config.validation import path_problem, with_current_names
from mcqa.runs.files import read_optional, read_stored, read_yaml, write_yaml
from mcqa.runs.lock import only_process
from mcqa.runs.mailbox import Mailbox
from mcqa.runs.trial import VARIABLE

NO_RESULT: Mapping[str, Any] = {
    "status": None,
    "value": None,
    "metrics": {},
    "first_look": {},
    "base_measured": True,
    "measurements_left_out": 0,
    "seconds": 0.0,
    "peak_memory_bytes": 0,
    "error": None,
}
"""The keys of result.json.

status: complete, failed, pruned, preempted or paused. value: of the metric a study optimises. first_look: by set, where
only some of its questions were measured, {"questions": how many, "of": how many there are}. base_measured:
false where a training left the base alone (evaluation.before=false). measurements_left_out: of
dev during training, because measuring took too much of its time.
"""


EMBEDDED, LONGEST = ["starter", "facts"], 40
"""Model and questions that a run's name leaves out; characters of those that it has."""

DEPTH_OF_RUNS, MOST_FOLDERS = 5, 1000
"""How deep below a working folder runs lie at most (outputs/sweeps/<study>/trials/<number>); where a search ends."""

STAGES = "stages"
"""The folder of a run that has the stages before the last one, each a run folder; and the key of the configuration."""

JOB_WAIT_S = 120.0
"""Seconds that a job waits for an earlier start of itself, which a scheduler may put back before it has ended."""


def name_of(config_dict: ConfigDict) -> str:
    """Return what the run is called in outputs/runs and in MLflow: its name, with model and questions that are not the
    embedded ones, such as qlora_mcqa-qwen3_0_6b-arc_easy.
    """
    both = [short_name(config_dict, group) for group in ("model", "data")]
    name = str(config_dict["name"])
    return name if both == EMBEDDED else "-".join([name, *(re.sub(r"[^\w.+]+", "_", part)[:LONGEST] for part in both)])


def short_name(config_dict: ConfigDict, group: str) -> str:
    """Return the name of the model or data of a stored configuration, of which a part may be missing; of the user's own
    the last part of its path, and of a model that a run has saved the run's.
    """
    section = config_dict.get(group)
    keys = section if isinstance(section, dict) else {}
    if keys.get("run"):  # of model=run
        return Path(str(keys["run"])).name
    place = keys.get("path") or keys.get("hub")
    if keys.get("name") != "local" or not place:
        return str(keys.get("name"))
    path = Path(str(place))
    return path.parent.name if group == "model" and path.name == "model" and path.parent.name else path.name


def create(outputs: str, name: str, config_dict: Mapping[str, Any], overrides: Sequence[str]) -> Path:
    """Create and return outputs/runs/<name>/<time>-<random>, and write the configuration and its overrides there.

    `outputs` is written as an absolute path, since a run may be resumed from any working folder.
    """
    root = Path(outputs).absolute()
    folder = root / "runs" / name / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    make(folder)
    write_yaml(folder / "overrides.yaml", list(overrides))
    write_yaml(folder / "config.yaml", {**config_dict, "outputs": str(root)})
    return folder


def make(folder: Path, exist_ok: bool = False) -> None:
    """Make a folder.

    Raises:
        ConfigError: it cannot be made, or, exist_ok=False, is there already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{folder}: no folder can be made there: {reason}. outputs= says where runs go.") from error


def open_existing(path: str) -> Path:
    """Return the folder of a run.

    Raises:
        ConfigError: when there is no run in it, or none that can be read.
    """
    if problem := path_problem(path):
        raise ConfigError(f"{quoted(path)} is no run folder: {problem}")
    folder = Path(path).expanduser().absolute()
    try:
        if not (folder / "config.yaml").is_file():
            raise ConfigError(_no_run(path, folder))
        stored = read_yaml(folder / "config.yaml")
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: no UTF-8, or a number of thousands of digits
        stored = None
    except PermissionError as error:
        raise ConfigError(
            f"{path}: its config.yaml is only for the user whose run it is; `chmod go+r {folder / 'config.yaml'}` "
            "by that user shares it."
        ) from error
    except OSError as error:
        raise ConfigError(f"{path}: its config.yaml cannot be read: {error.strerror or error}.") from error
    if not isinstance(stored, dict):
        raise ConfigError(f"{path}: its config.yaml is damaged.")
    return folder


def _no_run(path: str, folder: Path) -> str:
    near = ", ".join(map(str, _runs_below(folder)))
    hint = f" Runs below it: {near}." if near else ""
    return f"{path} is no run folder: there is no config.yaml in it.{hint}"


def _runs_below(folder: Path) -> list[Path]:
    """Return up to three runs below a folder, which may be the root of everything: it looks into few of its folders."""
    found, waiting = list[Path](), deque([(folder, 0)])
    for _ in range(MOST_FOLDERS):
        if not waiting or len(found) == 3:
            break
        here, depth = waiting.popleft()
        try:
            if (here / "config.yaml").is_file():
                found.append(here)
            elif depth < DEPTH_OF_RUNS:
                inside = [entry for entry in islice(os.scandir(here), MOST_FOLDERS) if not entry.name.startswith(".")]
                inner = sorted(entry.path for entry in inside if entry.is_dir(follow_symlinks=False))
                waiting.extend((Path(one), depth + 1) for one in inner)
        except OSError:
            continue
    return found


def only_run(folder: Path) -> AbstractContextManager[None]:
    """Return a context in which this process alone runs in the folder. A job waits for its earlier start to end.

    Raises:
        ConfigError: on entering, when another process runs there.
    """
    remedy = "Stop that process first, or wait until it has ended."
    return only_process(folder, "process", "is being run", remedy, JOB_WAIT_S if VARIABLE in os.environ else 0.0)


def chain_of(folder: Path) -> Path | None:
    """Return the folder of the run of which the run in this folder is an earlier stage; None where it is of none."""
    above = folder.absolute().parent
    return above.parent if above.name == STAGES and (above.parent / "config.yaml").is_file() else None


def outputs_of(folder: Path, outputs: str) -> Path:
    """Return where the run in the folder keeps what runs share, such as the tracking database.

    outputs: as it is configured. A run that lies in runs/<name>/ somewhere else was moved with everything around it;
    one that was moved alone keeps the place that it had.
    """
    configured, runs = Path(outputs).absolute(), (chain_of(folder) or folder).absolute().parent.parent
    here = runs.parent
    moved = runs.name == "runs" and ((here / "mlflow.db").exists() or not configured.is_dir())
    return here if moved else configured


def config_of(folder: Path) -> ConfigDict:
    """Return the configuration that a run folder holds, under the names that keys have now.

    Raises:
        FileError: it is missing, damaged or cannot be read.
    """
    return with_current_names(read_stored(folder / "config.yaml", "Nothing else says how the run is configured.", dict))


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write result.json, with the keys of NO_RESULT; a trial that was cancelled keeps the one it has.

    A run of several stages ends as that of its stages which does not complete.
    """
    Mailbox(folder).write_result({**NO_RESULT, **result})
    if result["status"] != "complete" and (chain := chain_of(folder)) is not None:
        Mailbox(chain).write_result({**NO_RESULT, **{key: result.get(key) for key in ("status", "error")}})


def read_result(folder: Path) -> dict[str, Any]:
    """Return what result.json holds; nothing where the run has not ended."""
    return Mailbox(folder).result() or {}


def is_complete(folder: Path) -> bool:
    """Whether the run has ended well: only its result.json says so."""
    return read_result(folder).get("status") == "complete"


def why_no_model(folder: Path) -> str:
    """Return why the run in a folder has no model/, and what to do."""
    config_dict = read_optional(folder / "config.yaml")
    objective, model = config_dict.get("objective"), config_dict.get("model")
    if isinstance(objective, dict) and objective.get("name") == "none":
        path = model.get("path") if isinstance(model, dict) else None
        return (
            "the run has saved no model: it trained nothing (objective=none) and has the one that it began with, "
            f"model.path={path}."
        )
    return "the run has saved no model; its result.json says how it ended."


def how_to_resume(folder: Path) -> str:
    """Return a sentence with the command that resumes the run, of a stage the whole run."""
    return f"Resume it with: python -m mcqa.train resume={shown(chain_of(folder) or folder)}"


def shown(folder: Path) -> str:
    """Return the folder as the user would type it from where the command runs."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return str(folder)
