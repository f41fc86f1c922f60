"""A finished run as the base of the next: what conf/model/run.yaml looks up in its folder while a run is composed."""

from pathlib import Path
from typing import Any

import yaml

from mcqa.config.validation import with_current_names

MERGED = Path("export", "merged")
"""Where a run folder has the whole model that its adapter makes of its base."""

UNKNOWN = {"licence": "unknown", "learning_rate.full": 5.0e-5, "learning_rate.adapter": 5.0e-4}
"""What a folder that is no run has; rules.py refuses it."""


def trained_model(run: str | None) -> str | None:
    """Return the folder of the whole model of a run, which is made where it is needed; None where there is no run."""
    folder = _folder(run)
    if folder is None or not (folder / "model").is_dir():
        return None
    return str(folder / MERGED if (folder / "model" / "adapter_config.json").exists() else folder / "model")


def of_run(run: str | None, key: str) -> Any:
    """Return a key, one of UNKNOWN, of the model that a run began with."""
    folder = _folder(run)
    value: Any = _stored_model(folder) if folder is not None else {}
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return UNKNOWN[key] if value is None else value


def _folder(run: str | None) -> Path | None:
    folder = Path(run).expanduser().absolute() if run else None
    return folder if folder is not None and (folder / "config.yaml").is_file() else None


def _stored_model(folder: Path) -> dict[str, Any]:
    try:
        stored = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        model = with_current_names(stored)["model"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}
    return model if isinstance(model, dict) else {}
