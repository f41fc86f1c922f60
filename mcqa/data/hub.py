"""Rows from the model hub, through datasets and its cache."""

import functools
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from socket import create_connection
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mcqa.config.errors import DataError
from mcqa.config.schema import DataConfig
from mcqa.data.formats import Rows


def rows(config: DataConfig, split: str) -> Rows:
    """`where` is "<id>[<split>] row n", with n as in datasets: counted from 0.

    Raises:
        DataError: offline, not found, gated, no such configuration or split; with what to do about it.
    """
    from datasets import load_dataset  # 1.5 s

    assert config.hub is not None, "a rule of the configuration"
    go_offline_if_unreachable()
    try:
        found = load_dataset(config.hub, config.hub_config, split=split, revision=config.revision)
    except Exception as error:  # datasets raises from several libraries, and all of it is about the hub
        raise DataError(f"{config.hub}[{split}]: {_first_line(error)} {_advice(error, config)}") from error
    for number, row in enumerate(found):
        yield f"{config.hub}[{split}] row {number}", dict(row)


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _advice(error: Exception, config: DataConfig) -> str:
    if "gated" in str(error).lower():
        page = f"https://huggingface.co/datasets/{config.hub}"
        return f"Accept its terms at {page} and log in with `hf auth login`."
    if isinstance(error, ValueError) and "cache" not in str(error):  # which it lacks, without a network
        return "See data.hub_config, data.splits and data.revision."
    if isinstance(error, FileNotFoundError):
        return "Is data.hub spelt right? A private set needs `hf auth login`."
    return (
        f"{prefetch_advice()}. Or fetch it with `hf download {config.hub} --repo-type dataset --local-dir <folder>` "
        "and set data.path to the folder in it that holds the Parquet files."
    )


log = logging.getLogger(__name__)

VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


TRIES, PAUSE_S, PATIENCE_S = 3, 1.0, 6.0  # the last for all tries together


PORTS = {"http": 80, "https": 443}


def cache() -> Path:
    """The folder of the hub's libraries."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{home}/huggingface")).expanduser()


@functools.cache
def go_offline_if_unreachable() -> None:
    """Where the hub is out of reach, have its libraries look into the cache alone; they would try for a minute."""
    if os.environ.get("HF_HUB_OFFLINE") or _is_reached():
        return
    for name in VARIABLES:
        os.environ[name] = os.environ.get(name) or "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        if (imported := sys.modules.get(name)) is not None:  # it has read the variables already
            imported.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    log.warning("%s is out of reach; only what its cache %s has is used.", _endpoint(), cache())


def prefetch_advice() -> str:
    """How what is asked for gets into the cache."""
    return (
        f"Its cache {cache()} lacks it: where there is a way to the hub, `python -m mcqa.prefetch` with the same "
        "arguments brings it there (those of mcqa.evaluate behind the word evaluate)"
    )


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _is_reached() -> bool:
    """A proxy is believed to reach it."""
    url = urlsplit(_endpoint())
    host = url.hostname or ""
    if {url.scheme, "all"} & getproxies().keys() and not proxy_bypass(host):
        return True
    try:
        address = (host, url.port or PORTS.get(url.scheme, 443))
    except ValueError:  # its libraries tell better what is wrong with the address
        return True
    answered = threading.Event()
    caller = threading.Thread(target=_call, args=(address, answered), daemon=True)  # looking up a name may take minutes
    caller.start()
    caller.join(PATIENCE_S)
    return answered.is_set()


def _call(address: tuple[str, int], answered: threading.Event) -> None:
    for _ in range(TRIES):
        with suppress(OSError), create_connection(address, PATIENCE_S):
            return answered.set()
        time.sleep(PAUSE_S)
