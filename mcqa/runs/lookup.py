"""A run's files from MLflow, for a run whose folder is elsewhere."""

import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcqa.config.errors import ConfigError
from mcqa.runs import run_folder
from mcqa.runs.files import read_json, read_yaml
from mcqa.runs.tracking import redact

FILES = ("config.yaml", "result.json")


MAY_BE_MISSING = ("environment.json",)


SQLITE = "sqlite:///"


def download(
    run_id: str,
    outputs: Path,
    tracking_uri: str | None,
    folder: Path,
    files: Sequence[str] = (*FILES, "predictions"),
) -> Path:
    """The run's configuration, result and predictions in a folder below `folder`, laid out like a run folder.

    Raises:
        ConfigError: no server, no such run, or a run without these files.
    """
    uri = tracking_uri or f"{SQLITE}{outputs}/mlflow.db"
    client, target = _client(uri, run_id, outputs), folder / run_id
    target.mkdir(exist_ok=True)
    try:
        client.get_run(run_id)
        listed = {found.path for found in client.list_artifacts(run_id)}
        missing = [name for name in files if name not in listed]
        if missing:
            raise ConfigError(
                f"{run_id}: its run in MLflow has no {' and no '.join(missing)}. Is it a run of mcqa.train or "
                "mcqa.evaluate that came to its end?"
            )
        for name in (*files, *(name for name in MAY_BE_MISSING if name in listed)):
            client.download_artifacts(run_id, name, str(target))
    except ConfigError:
        raise
    except Exception as error:  # MLflow's errors have no common kind: its own, requests', SQLAlchemy's, OSError
        raise ConfigError(
            f"{run_id}: no run folder below {outputs} has this MLflow run id, and MLflow at {redact(uri)} "
            f"does not give it: {_reason(error)}. Name the run's folder, or the right server with tracking_uri=."
        ) from error
    return target


def _client(uri: str, run_id: str, outputs: Path) -> Any:
    """A client that gives up soon and is quiet. It would create a missing SQLite file, so that is looked for."""
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
        raise ConfigError(f"tracking_uri={redact(uri)}: MLflow cannot use it: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """The first line; of a failed connection its cause, without the addresses around it."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    cause = text.partition("Caused by ")[2].rpartition(": ")[2].strip("()\"' ")
    return redact((cause or text)[:300]).rstrip(".")


MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


PLACES = ("runs/*/*", "sweeps/*/trials/*")


def stored_config(reference: str, outputs: Path, tracking_uri: str | None) -> dict[str, Any]:
    """The stored configuration of any run, complete or not, by its folder or its MLflow run id.

    Raises:
        ConfigError: there is no such run.
    """
    folder = folder_of_mlflow_run(reference, outputs) if is_id(reference) else run_folder_of(reference)
    with tempfile.TemporaryDirectory() as downloads:
        if folder is None:
            folder = download(reference, outputs, tracking_uri, Path(downloads), ["config.yaml"])
        tree: dict[str, Any] = read_yaml(run_folder_of(str(folder)) / "config.yaml")
        return tree


def is_id(reference: str) -> bool:
    return bool(MLFLOW_ID.fullmatch(reference)) and not Path(reference).exists()


def run_folder_of(path: str) -> Path:
    try:
        return run_folder.open_existing(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: its config.yaml cannot be read: {error}.") from error


def folder_of_mlflow_run(run_id: str, outputs: Path) -> Path | None:
    """The folder under outputs whose tracker gave the run this id."""
    for place in PLACES:
        for path in outputs.glob(f"{place}/tracking.json"):
            if read_json_if_any(path).get("run_id") == run_id:
                return path.parent
    return None


def read_json_if_any(path: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is missing or damaged: nothing that is compared hangs on it alone."""
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def finished_run(reference: str, outputs: Path) -> Path:
    """The run folder that is meant, by its path or by the MLflow run id of a run below outputs.

    Raises:
        ConfigError: there is none.
    """
    from mcqa.runs import run_folder
    from mcqa.runs.lookup import folder_of_mlflow_run, is_id

    if not is_id(reference):
        return run_folder.open_existing(reference)
    found = folder_of_mlflow_run(reference, outputs)
    if found is None:
        raise ConfigError(
            f"run={reference}: no run folder below {outputs} has this MLflow run id; name the run's folder, whose "
            "model is needed here, or give outputs=."
        )
    return run_folder.open_existing(str(found))


def seconds_of(results: Iterable[Path]) -> list[float]:
    """How long the complete ones among these result.json took."""
    found: list[float] = []
    for path in results:
        try:
            result: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
            if result["status"] == "complete":
                found.append(float(result["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def unfinished(path: str) -> Path:
    """The folder of a run that can be resumed.

    Raises:
        ConfigError: it is running or complete.
    """
    from mcqa.runs import run_folder, tracking

    folder = run_folder.open_existing(path)
    if tracking.is_running(folder):
        raise ConfigError(f"{path} is still running on this machine; stop it first.")
    if run_folder.is_complete(folder):
        raise ConfigError(f"{path} is complete, so there is nothing to resume; mcqa.evaluate measures it again.")
    return folder
