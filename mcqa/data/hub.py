"""The model hub (huggingface.co): whether it can be reached, and the rows of its question sets."""

import functools
import logging
import os
import re
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import create_connection
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mcqa.config.errors import DataError, without_paths
from mcqa.config.schema import DataConfig
from mcqa.data.formats import Rows

log = logging.getLogger(__name__)

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
RETRIES, PAUSE_S = 3, 1.0
TIMEOUT_S = 6.0  # of all attempts together


# --- whether it can be reached ---------------------------------------------------------------------------------------


@functools.cache
def go_offline_if_unreachable() -> None:
    """Make the hub's libraries use only their cache when the hub cannot be reached; they would retry for a minute.

    HF_HUB_OFFLINE, if set, decides instead.
    """
    if os.environ.get("HF_HUB_OFFLINE") or hub_reachable():
        return
    for name in OFFLINE_VARIABLES:
        os.environ[name] = os.environ.get(name) or "1"
    for name in ("huggingface_hub.constants", "datasets.config"):  # which read the variables when they are imported
        if (imported := sys.modules.get(name)) is not None:
            imported.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    log.warning("%s cannot be reached; only what is in the cache %s is used.", _endpoint(), cache_folder())


def hub_reachable() -> bool:
    """Whether the hub, or a proxy configured for it, accepts connections. A proxy is not tried."""
    url = urlsplit(_endpoint())
    host = url.hostname or ""
    if {url.scheme, "all"} & getproxies().keys() and not proxy_bypass(host):
        return True
    try:
        address = (host, url.port or (80 if url.scheme == "http" else 443))
    except ValueError:  # a malformed address, which the hub's libraries report better
        return True
    connected = threading.Event()
    # In a thread, because looking up a host name has no timeout and may take minutes.
    thread = threading.Thread(target=_connect, args=(address, connected), daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return connected.is_set()


def _connect(address: tuple[str, int], connected: threading.Event) -> None:
    for _ in range(RETRIES):
        with suppress(OSError), create_connection(address, TIMEOUT_S):
            return connected.set()
        time.sleep(PAUSE_S)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def is_hub_id(path: str | None) -> bool:
    """Whether a model's path is an id on the hub (owner/name), and neither embedded nor a local folder."""
    if path is None or path.startswith(("embedded:", ".", "/", "~")) or path.count("/") > 1:
        return False
    return not Path(path).expanduser().is_dir()


def cache_folder() -> Path:
    """Return the folder in which the hub's libraries keep what they have downloaded."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{home}/huggingface")).expanduser()


def first_line(error: Exception) -> str:
    """Return the first line of an error of the hub's libraries, which often have many, as a sentence."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
    return line if line.endswith((".", "!", "?")) else f"{line}."


def login_advice(error: Exception, page: str) -> str:
    """Return what to do if the hub has refused access to `page` (owner/name), else an empty string."""
    if not re.search(r"gated|\b40[13]\b", without_paths(error).lower()):  # 401 Unauthorized, 403 Forbidden
        return ""
    return f"Accept its terms at https://huggingface.co/{page} and log in with `hf auth login`."


def prefetch_advice() -> str:
    """Return the sentence that says how to get missing files into the cache."""
    return (
        f"It is not in the cache {cache_folder()}: on a machine that reaches the hub, `python -m mcqa.prefetch` with "
        "the same arguments downloads it (for mcqa.evaluate, with the word evaluate before them)"
    )


# --- question sets ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextsOnHub:
    """Texts on the hub, under the names that data has for a question set; key: what names them."""

    key: str
    hub: str
    hub_config: str | None
    revision: str | None


def read_rows(config: DataConfig | TextsOnHub, split: str) -> Rows:
    """Yield (place, row) for each row; the place is "<hub id>[<split>] row n", counted from 0 as in datasets.

    Raises:
        DataError: offline, not found, gated, or no such configuration or split; with what to do about it.
    """
    from datasets import load_dataset  # 1.5 s

    assert config.hub is not None, "a rule of the configuration"
    go_offline_if_unreachable()
    try:
        dataset = load_dataset(config.hub, config.hub_config, split=split, revision=config.revision)
    except Exception as error:  # datasets raises from several libraries, always because of the hub
        raise DataError(f"{config.hub}[{split}]: {first_line(error)} {_advice(error, config)}") from error
    number = -1
    try:
        for number, row in enumerate(dataset):
            yield f"{config.hub}[{split}] row {number}", dict(row)
    except (ValueError, ArithmeticError, LookupError, OSError) as error:  # a value that Python cannot hold
        where = f"{config.hub}[{split}] row {number + 1}"
        raise DataError(f"{where}: cannot be read: {first_line(error)} Is it damaged? {_download_again()}") from error


def _advice(error: Exception, config: DataConfig | TextsOnHub) -> str:
    if advice := login_advice(error, f"datasets/{config.hub}"):
        return advice
    if isinstance(error, ValueError) and "cache" not in str(error):  # offline, a ValueError says "Couldn't find cache"
        if isinstance(config, TextsOnHub):
            return f"See {config.key}=hub:<owner>/<name>/<configuration>@<revision>, of which train is read."
        return "See data.hub_config, data.splits and data.revision."
    if "Failed to open local file" in str(error):
        return f"A part of it is missing. {_download_again()}"
    if isinstance(error, FileNotFoundError):
        key = config.key if isinstance(config, TextsOnHub) else "data.hub"
        return f"Is {key} spelt right? A private set needs `hf auth login`."
    return (
        f"{prefetch_advice()}. Or fetch it with `hf download {config.hub} --repo-type dataset --local-dir <folder>` "
        f"and set {config.key if isinstance(config, TextsOnHub) else 'data.path'} to the folder in it that holds the "
        "Parquet files."
    )


def _download_again() -> str:
    return (
        f"Delete its folder in {cache_folder() / 'datasets'}; then `python -m mcqa.prefetch` with the same arguments "
        "downloads it again."
    )
