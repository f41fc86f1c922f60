"""Values as texts of Hydra's override grammar, and back."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")  # strings that Hydra reads back without quotes, except KEYWORDS
KEYWORDS = {"true", "false", "null", "nan", "inf"}
ESCAPED = re.compile(r"([\\()\[\]{}:=, \t])")  # what a key of a dict escapes: it cannot be quoted


def text_of(value: Any) -> str:
    """Return a value as the part after `=` of an override that Hydra's parser reads back as the same value.

    Raises:
        ValueError: the grammar has no text for it, such as a dict with the key "1" or an object.
    """
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, list | tuple | Mapping):
        return _container_text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value if BARE.fullmatch(value) and value.lower() not in KEYWORDS else _quoted(value)
    raise ValueError(f"a {type(value).__name__} cannot be written as an override")


def _quoted(value: str) -> str:
    return str(QuotedString(value, Quote.single).with_quotes())


def _container_text(value: Sequence[Any] | Mapping[Any, Any]) -> str:
    if not isinstance(value, Mapping):
        return "[" + ",".join(map(text_of, value)) + "]"
    text = "{" + ",".join(f"{_key_text(key)}:{text_of(item)}" for key, item in value.items()) + "}"
    try:
        same = read_back(text) == value
    except ValueError:
        same = False
    if not same:
        raise ValueError(f"{value!r} cannot be written as an override: a key in it would need quotes")
    return text


def _key_text(key: Any) -> str:
    return ESCAPED.sub(r"\\\1", key) if isinstance(key, str) else text_of(key)


def read_back(text: str) -> Any:
    """Return the value that Hydra reads from the part after `=`.

    Raises:
        ValueError: it is not in Hydra's grammar.
    """
    try:
        return OverridesParser.create().parse_override(f"x={text}").value()
    except Exception as error:  # the parser has several kinds
        raise ValueError(str(error)) from error
