"""A run's files from MLflow, for a run whose folder is elsewhere."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcqa.errors import ConfigError
from mcqa.tracking import redact

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
