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

COMMANDS = {path.stem for path in (ROOT / "mcqa").glob("*.py")} - {"__init__"}


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
    """The room that a module stands in; None for a command, as the entry of a room is."""
    first = module.split(".")[1] if "." in module else ""
    return None if not first or first in COMMANDS or module.endswith(".__main__") else first


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
    graph = {module: {imported for imported, _ in IMPORTS[module]} for module in MODULES}
    circles = [" > ".join(circle) for module in graph if (circle := circle_through(module, graph))]
    assert not circles, "\n".join(circles)


def test_no_package_imports_itself_by_way_of_others():
    """A package within another one counts as part of it: mcqa.runs.tracking may import from mcqa.runs. Commands, as
    the entry of a package is, stand above all packages."""
    graph: dict[str, set[str]] = {}
    for module in (module for module in MODULES if room_of(module)):
        others = {package_of(imported) for imported, _ in IMPORTS[module]}
        own = package_of(module)
        graph.setdefault(own, set()).update(other for other in others if not within(own, other))
    circles = [" > ".join(circle) for package in graph if (circle := circle_through(package, graph))]
    assert not circles, "\n".join(circles)


def package_of(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def within(one: str, other: str) -> bool:
    """Whether one of two packages is the other or contains it."""
    return one == other or f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def circle_through(start: str, graph: dict[str, set[str]]) -> list[str] | None:
    """The shortest way along imports from a module or package back to it, if there is one."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        for imported in sorted(graph.get(way[-1], ())):
            if imported == start and way != [start]:
                return [*way, start]
            if imported not in seen:
                seen.add(imported)
                ways.append([*way, imported])
    return None


@pytest.mark.slow
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
