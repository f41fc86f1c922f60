"""Whether the model hub can be asked from here, and where what it gave before lies."""

import functools
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from socket import create_connection
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

log = logging.getLogger(__name__)

VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
TRIES, PATIENCE_S = 2, 3.0
PORTS = {"http": 80, "https": 443}


def cache() -> Path:
    """The folder of the hub's libraries."""
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{home}/huggingface")).expanduser()


@functools.cache
def ask_hub_where_it_answers() -> None:
    """Where the hub is out of reach, have its libraries look into the cache alone; they would try for a minute."""
    if "HF_HUB_OFFLINE" in os.environ or _is_reached():
        return
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    for name in ("huggingface_hub.constants", "datasets.config"):
        if (imported := sys.modules.get(name)) is not None:  # it has read the variables already
            imported.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    log.warning("%s is out of reach; only what its cache %s has is used.", _endpoint(), cache())


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _is_reached() -> bool:
    """A proxy is believed to reach it."""
    url = urlsplit(_endpoint())
    host = url.hostname or ""
    if url.scheme in getproxies() and not proxy_bypass(host):
        return True
    for _ in range(TRIES):
        with suppress(OSError), create_connection((host, url.port or PORTS.get(url.scheme, 443)), PATIENCE_S):
            return True
    return False
