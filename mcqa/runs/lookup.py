"""Find the run that a user names, by its folder or by its MLflow run id."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict
from mcqa.config.secrets import error_reason, redact
from mcqa.runs import run_folder
from mcqa.runs.files import read_optional

FILES = ("config.yaml", "result.json", "predictions")
OPTIONAL_FILES = ("environment.json",)
MLFLOW_ID = re.compile(r"[0-9a-f]{32}")
RUN_FOLDERS = ("runs/*/*", "runs/*/*/stages/*", "sweeps/*/trials/*")
"""Where run folders lie below `outputs`."""

SQLITE = "sqlite:///"


def is_mlflow_id(reference: str) -> bool:
    """Whether a reference is an MLflow run id and not a path."""
    return bool(MLFLOW_ID.fullmatch(reference)) and not Path(reference).exists()


def find(reference: str, outputs: Path) -> Path | None:
    """Return the folder of a run; None for an MLflow run id that no run folder below `outputs` has.

    Raises:
        ConfigError: there is no run in the folder, or its configuration cannot be read.
    """
    if not is_mlflow_id(reference):
        return run_folder.open_existing(reference)
    for pattern in RUN_FOLDERS:
        for path in outputs.glob(f"{pattern}/tracking.json"):
            if read_optional(path).get("run_id") == reference:
                return run_folder.open_existing(str(path.parent))
    return None


def finished_run(reference: str, outputs: Path) -> Path:
    """Return the folder of a run whose saved model is needed.

    Raises:
        ConfigError: there is none.
    """
    if (folder := find(reference, outputs)) is None:
        raise ConfigError(
            f"run={reference}: no run folder below {outputs} has this MLflow run id; name the run's folder, whose "
            "model is needed here, or give outputs=."
        )
    return folder


def unfinished(path: str) -> Path:
    """Return the folder of a run that can be resumed.

    Raises:
        ConfigError: there is none, or it is complete.
    """
    folder = run_folder.open_existing(path)
    if (chain := run_folder.chain_of(folder)) is not None:
        raise ConfigError(f"{path} is a stage of a run, which is resumed as a whole: resume={run_folder.shown(chain)}")
    if run_folder.is_complete(folder):
        raise ConfigError(f"{path} is complete, so there is nothing to resume; mcqa.evaluate measures it again.")
    return folder


def stored_config(reference: str, outputs: Path, tracking_uri: str | None) -> ConfigDict:
    """Return the stored configuration of any run, complete or not, from its folder or from MLflow.

    Raises:
        ConfigError: there is no such run.
    """
    with TemporaryDirectory() as downloads:
        folder = find(reference, outputs)
        if folder is None:
            folder = download(reference, outputs, tracking_uri, Path(downloads), ["config.yaml"])
        return run_folder.config_of(run_folder.open_existing(str(folder)))


def seconds_of(results: Iterable[Path]) -> list[float]:
    """Return how many seconds each complete run among these result.json took."""
    complete = (result for path in results if (result := read_optional(path)).get("status") == "complete")
    seconds = (result.get("seconds") for result in complete)
    return [float(each) for each in seconds if isinstance(each, int | float) and 0 <= each < 1e12]


# --- a run whose folder is elsewhere ----------------------------------------------------------------------------------


def download(
    run_id: str,
    outputs: Path,
    tracking_uri: str | None,
    folder: Path,
    files: Sequence[str] = FILES,
) -> Path:
    """Download a run's files from MLflow into a folder below `folder`, laid out like a run folder; return that.

    Raises:
        ConfigError: there is no server, no such run, or no such file of it.
    """
    uri = tracking_uri or f"{SQLITE}{outputs}/mlflow.db"
    client, target = _client(uri, run_id, outputs), folder / run_id
    target.mkdir(exist_ok=True)
    try:
        client.get_run(run_id)
        listed = {artifact.path for artifact in client.list_artifacts(run_id)}
        missing = [name for name in files if name not in listed]
        if missing:
            raise ConfigError(
                f"{run_id}: its run in MLflow has no {' and no '.join(missing)}. Is it a run of mcqa.train or "
                "mcqa.evaluate that is complete?"
            )
        for name in (*files, *(name for name in OPTIONAL_FILES if name in listed)):
            client.download_artifacts(run_id, name, str(target))
    except ConfigError:
        raise
    except Exception as error:  # MLflow's errors have no common kind: its own, requests', SQLAlchemy's, OSError
        raise ConfigError(
            f"{run_id}: no run folder below {outputs} has this MLflow run id, and MLflow at {redact(uri)} "
            f"does not give it: {error_reason(error)}. Name the run's folder, or the right server with tracking_uri=."
        ) from error
    return target


def _client(uri: str, run_id: str, outputs: Path) -> Any:
    """Return a client that gives up soon and prints nothing. A missing SQLite file is an error: it would create one."""
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).is_file():
        raise ConfigError(
            f"{run_id}: no run folder below {outputs} has this MLflow run id, and there is no tracking database at "
            f"{uri.removeprefix(SQLITE)}. Name the run's folder, or give outputs= or tracking_uri=."
        )
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    from mlflow import MlflowClient

    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except Exception as error:
        raise ConfigError(f"tracking_uri={redact(uri)}: MLflow cannot use it: {error_reason(error)}.") from error
