"""What --help lists: options with the first line of their files, and keys with their defaults and comments.

All of it is read from the YAML files, where it is written.
"""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.utils import get_args_parser

from mcqa.config.composition import ROOT

NOT_CHOSEN = ("experiment", "sweeps")
"""Groups from which nothing is chosen unless the command line says so, with a plus."""

KEY = re.compile(r"(?P<indent> *)(?P<key>\w+):(?P<value> [^#]*|)(#(?P<comment> .*))?")
"""A line of a YAML file that has a key; no value in conf/ has a # in it."""

COLUMN = 40
"""Where comments begin."""


def getting_started(name: str) -> str:
    """Return the head and the foot of what --help says, without the lists; name: of a file in conf/hydra/help."""
    help_of_hydra = yaml.safe_load((ROOT / "conf" / "hydra" / "help" / f"{name}.yaml").read_text("utf-8"))
    return f"{help_of_hydra['header']}\n{help_of_hydra['footer']}".rstrip()


def options_text() -> str:
    """Return each group of conf/, and of the folder that --config-dir names, with its options and their first lines."""
    conf = ROOT / "conf"
    known, _ = get_args_parser().parse_known_args(sys.argv[1:])
    folders = [conf, *([Path(known.config_dir)] if known.config_dir else [])]
    lines = []
    for group in [*_defaults(conf / "run.yaml"), *NOT_CHOSEN]:
        files = sorted(path for folder in folders for path in (folder / group).glob("*.yaml"))
        lines.append(f"{'+' if group in NOT_CHOSEN else ''}{group}=")
        lines += [_folded(f"  {path.stem}  ", _meaning(path)) for path in files]
    return "\n".join(lines)


def keys_text() -> str:
    """Return every key of a run with its comment, and with the default of its group's default option."""
    conf = ROOT / "conf"
    lines = list(_keys(conf / "run.yaml", ""))
    for group, option in _defaults(conf / "run.yaml").items():
        lines += _keys(conf / group / f"{option}.yaml", f"{group}.")
    return "\n".join(lines)


def _defaults(path: Path) -> dict[str, str]:
    """Return the groups that a configuration chooses from, in order, with the option chosen."""
    chosen: list[Any] = yaml.safe_load(path.read_text("utf-8"))["defaults"]
    return {group: option for one in chosen if isinstance(one, dict) for group, option in one.items()}


def _meaning(path: Path) -> str:
    """Return the first comment of an option that is not for Hydra, to the end of a line that ends a sentence."""
    lines = (line[1:].strip() for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
    comments = [line for line in lines if line and not line.startswith("@")]
    end = next((number for number, line in enumerate(comments, 1) if line.endswith((".", "?"))), 1)
    return " ".join(comments[:end])


def _keys(path: Path, prefix: str) -> Iterator[str]:
    """Yield a line for each key of a file; of a file that builds on another, those of the other with its own values."""
    values, base = yaml.safe_load(path.read_text("utf-8")), path
    while prefix and (builds_on := yaml.safe_load(base.read_text("utf-8")).get("defaults")):
        base = path.with_name(f"{builds_on[0]}.yaml")
    sections: list[str] = []
    for line in base.read_text("utf-8").splitlines():
        if (match := KEY.fullmatch(line)) is None or match["key"] == "defaults":
            continue
        sections = [*sections[: len(match["indent"]) // 2], match["key"]]
        value, comment = match["value"].strip(), (match["comment"] or "").strip()
        if base != path and len(sections) == 1 and sections[0] in values and value:
            value = yaml.safe_dump(values[sections[0]], default_flow_style=True).split("\n")[0]
        value = value.replace("${", "<").replace("}", ">") if "${" in value else value  # the value of another key
        if value or comment:
            yield _folded(f"  {prefix}{'.'.join(sections)}{'=' if value else ''}{value}  ", comment)


def _folded(head: str, text: str) -> str:
    """Return a line of head and text; what does not fit the terminal goes on below the text."""
    width = max(shutil.get_terminal_size((120, 24)).columns, 80)
    lines = textwrap.wrap(text, width - COLUMN, break_long_words=False, break_on_hyphens=False)
    if lines and len(head) <= COLUMN:
        head = f"{head.ljust(COLUMN)}{lines.pop(0)}"
    return "\n".join([head.rstrip(), *(" " * COLUMN + line for line in lines)])
