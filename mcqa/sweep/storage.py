"""The URL of a study's storage: made absolute, and shown without its password.

A password is written into no file. A report in the process that runs the study has it from there; a later one asks
the database without, which PostgreSQL answers by PGPASSWORD or ~/.pgpass.
"""

import re
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?]+)(.*)", re.DOTALL)  # a path that is relative
USER = re.compile(r"://([^:/@]*):[^@]*@")
QUERY = re.compile(r"([?&]password=)[^&]*")
HIDDEN = "***"

_given: dict[str, str] = {}  # the URLs that this process was given, by how they are shown


def absolute(url: str) -> str:
    """With the file of a relative SQLite URL below the working folder of now, wherever it is read later."""
    if not (found := SQLITE.fullmatch(url)):
        return url
    scheme, path, query = found.groups()
    return f"{scheme}{Path(path).absolute()}{query}"


def shown(url: str) -> str:
    return QUERY.sub(rf"\g<1>{HIDDEN}", USER.sub(rf"://\1:{HIDDEN}@", url))


def remembered(url: str) -> str:
    """How the URL is written down; `usable` leads back to it in this process."""
    _given[shown(url)] = url
    return shown(url)


def usable(written: str) -> str:
    """The URL that was written down, without a password where this process was never given one."""
    return _given.get(written) or written.replace(f":{HIDDEN}@", "@")


def hide(hydra: DictConfig) -> None:
    """Take the password of hydra.sweeper.storage out of hydra's node, also where it stands as typed."""
    url = OmegaConf.to_container(hydra.sweeper, resolve=False)["storage"]
    if not isinstance(url, str) or shown(url) == url:
        return
    with read_write(hydra), open_dict(hydra):
        hydra.sweeper.storage = shown(url)
        hydra.overrides.hydra = [shown(line) for line in hydra.overrides.hydra]
