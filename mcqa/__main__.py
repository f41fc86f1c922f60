"""mcqa: fine-tune language models on multiple-choice questions, and see whether the result is better.

mcqa <command> [arguments]        the same as python -m mcqa.<command> [arguments]
mcqa <command> --help
"""

import ast
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from mcqa.config.commands import COMMANDS
from mcqa.config.errors import nearest
from mcqa.config.plain_command import show_version


def main() -> None:
    """Run the command that the first argument names; without one, show what there is."""
    name, arguments = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in ("", "-h", "--help"):
        print(overview())
    elif name == "--version":
        show_version([name])
    elif name not in COMMANDS:
        sys.exit(f"{name}: no such command.{nearest(name, COMMANDS)} There are {', '.join(COMMANDS)}.")
    else:
        sys.argv = ["mcqa", *arguments]
        runpy.run_module(COMMANDS[name].removesuffix(".__main__"), run_name="__main__", alter_sys=True)


def overview() -> str:
    """Return what `mcqa` shows: each command with the first line of its module's docstring."""
    lines = [f"  {name:<11} {first_line(module)}" for name, module in COMMANDS.items()]
    return "\n".join([(__doc__ or "").strip(), "", *lines])


def first_line(module: str) -> str:
    """Return the first line of a module's docstring without importing it."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or "").splitlines()[0]


if __name__ == "__main__":
    main()
