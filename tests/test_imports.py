"""Imports go one way through the rooms of mcqa/, and never in a circle; CONTRIBUTING.md draws the rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ({"config"}, {"runs", "data"}, {"models"}, {"evaluation"}, {"training", "compare", "sweep"})
"""From the lowest up: a room imports from itself and from lower floors. The commands stand on top of all."""

COMMANDS = {"train", "evaluate", "verify", "jobs", "prefetch"}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted((ROOT / "mcqa").rglob("*.py"))}


def imports_of(module: str) -> Iterator[tuple[str, int]]:
    """Every module of ours that a module imports, at its top or in a function, with the line."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                imported = f"{node.module}.{alias.name}"
                yield (imported if imported in MODULES else node.module), node.lineno


IMPORTS = {module: list(imports_of(module)) for module in MODULES}


def room_of(module: str) -> str | None:
    """The room that a module stands in; None for a command."""
    first = module.split(".")[1]
    return None if first in COMMANDS else first


def floor_of(module: str) -> int:
    room = room_of(module)
    return next((number for number, rooms in enumerate(FLOORS) if room in rooms), len(FLOORS))


def test_there_are_only_rooms_and_commands():
    names = {module.split(".")[1] for module in MODULES if "." in module}
    assert names == COMMANDS.union(*FLOORS)


def test_a_room_imports_only_from_itself_and_from_lower_floors():
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{line}: {room_of(module) or 'a command'} imports {imported}"
        for module in MODULES
        for imported, line in IMPORTS[module]
        if module != "mcqa" and room_of(module) != room_of(imported) and floor_of(imported) >= floor_of(module)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_imports_itself_by_way_of_others():
    circles = [" > ".join(circle) for module in MODULES if (circle := circle_through(module))]
    assert not circles, "\n".join(circles)


def circle_through(module: str) -> list[str] | None:
    """The shortest way along imports from a module back to it, if there is one."""
    ways, seen = [[module]], {module}
    while ways:
        way = ways.pop(0)
        for imported, _ in IMPORTS[way[-1]]:
            if imported == module and way != [module]:
                return [*way, module]
            if imported not in seen:
                seen.add(imported)
                ways.append([*way, imported])
    return None


@pytest.mark.parametrize(
    ("module", "light"),
    [
        ("mcqa.config.schema", True),
        ("mcqa.config.command", True),
        ("mcqa.config.diagnosis", True),
        ("mcqa.data.question", True),
        ("mcqa.runs.record", True),
        ("mcqa.runs.trial", True),
        ("mcqa.train", True),
        ("mcqa.evaluate", True),
        ("mcqa.training.trainer", False),
    ],
)
def test_what_help_and_configuration_errors_need_imports_nothing_heavy(module, light):
    heavy = "{'torch', 'transformers', 'mlflow', 'optuna'}"
    code = f"import sys, {module}; sys.exit(bool({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == (0 if light else 1), done.stderr
