"""The command line of a command without Hydra: names of files or runs, and options as key=value."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mcqa.config.errors import nearest, quoted
from mcqa.config.validation import path_problem


class Option(NamedTuple):
    """An option: its default as it would be typed ("" for none), what reads a value, and a line for --help.

    read raises ValueError with what a value must be.
    """

    default: str
    read: Callable[[str], Any]
    meaning: str


def help_lines(options: Mapping[str, Option]) -> str:
    """Return a line for each option, with its default."""
    return "\n".join(f"  {name + '=' + option.default:<18} {option.meaning}" for name, option in options.items())


def parse(
    arguments: Sequence[str], options: Mapping[str, Option], problems: list[str]
) -> tuple[list[str], dict[str, Any], dict[str, str]]:
    """Return what is no option, the value of every option (None: it has none), and the options given, as typed.

    A line for everything that is wrong with the arguments is appended to `problems`. A folder may have `=` in its name.
    """
    named, given = list[str](), dict[str, str]()
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            problems.append(f"{argument}: unknown; options are key=value, and --help lists them.")
        elif not equals or (path_problem(argument) is None and Path(argument).is_dir()):
            named.append(argument)
        elif name not in options:
            problems.append(f"{name}: unknown option; known are {', '.join(options)}.{nearest(name, options)}")
        elif name in given:
            problems.append(f"{name}: given twice, as {given[name]} and {value}.")
        else:
            given[name] = value
    values: dict[str, Any] = {}
    for name, option in options.items():
        text = given.get(name, option.default)
        try:
            values[name] = option.read(text) if name in given or text else None
        except ValueError as error:
            problems.append(f"{name}={quoted(text)[1:-1]}: {error}.")
    return named, values, given


# --- what reads a value ----------------------------------------------------------------------------------------------


def truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """Return a reader that takes one of these."""

    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)};{nearest(text, known)}".rstrip(";"))
        return text

    return read


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a reader that takes a whole number from `least` to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(text)

    return read


def some_text(text: str) -> str:
    if not text:
        raise ValueError("needs a value")
    return text


def file_path(text: str) -> str:
    if problem := path_problem(text):
        raise ValueError(problem.removesuffix("."))
    return text
