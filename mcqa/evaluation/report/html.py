"""What the comparison's page and a study's report share: the look, in page.css, and parts of the body."""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path


def look() -> str:
    """The style sheet."""
    return Path(__file__).with_name("page.css").read_text("utf-8").strip()


def section(title: str, body: str) -> str:
    """body is HTML already, title is not."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def notes(items: Iterable[str]) -> str:
    lines = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def definitions(items: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in items.items()) + "</dl>"
