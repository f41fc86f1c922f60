"""Secrets: which URLs hold one, and how texts and values are shown without them.

Hidden are the value of a name that means a secret (`hub_token`, `db.password`), what a job gets by `env_set`, and what
looks like a secret wherever it stands (`hf_…`, `https://user:password@host`). Names about tokens of text (`pad_token`,
`max_tokens`, `loss_per_token`) mean none.
"""

import logging
import re
import sys
import traceback
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

HIDDEN = "[redacted]"

_OF_TEXT = ("pad", "eos", "bos", "unk", "sep", "cls", "per", "mask", "special", "start", "end", "stop", "first", "last")
_NAME = (
    r"(?:passwd|password|passphrase|secrets?(?![a-z])|credentials?(?![a-z])"
    r"|(?:api|access|account|private|secret)[_-]?key|sharedaccesssignature"
    r"|(?:(?<![\w$])|(?<=%3B))pwd(?=\W)(?!=/)|env_set(?:\.[\w.]{1,50})?|launcher\.setup"
    + r"|(?<!unexpected )"
    + "".join(rf"(?<!{word}_)" for word in _OF_TEXT)
    + r"token(?![\w-]))"
)
_VALUE = r"""(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\\n])*(?P=quote)|["']?[^\s"'&;]+?(?=[,)\]}]{0,3}(?:[\s"'&;]|$))"""

_SECRET_KEY = re.compile(rf"{_NAME}|^pwd$|^setup$|authorization", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"""({_NAME}[\w-]{{0,50}}["']?(?:\s*[=:]\s*|%3D))(?!["']?\[redacted|["']?(?:null|none|true|false)\b)(?P<value>{_VALUE})(?=(?P<rest>.{{0,2}}))""",
    re.IGNORECASE,
)
_SETUP = re.compile(r"(\blauncher\.setup=)(?!\[redacted).+")
_AUTHORIZATION = re.compile(
    r"""(\bauthorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token|digest|negotiate)\s+)?|\bbearer\s+(?=\S{8}))"""
    r"""(?!\[redacted|(?:bearer|basic|token|digest|negotiate)\s)[\w.~+/=-]+""",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(
    r"""([?&;](?:sig|signature|pass|pwd|x-(?:amz|goog)-(?:signature|credential))=)(?!\[redacted)[^&;\s"'<>]+""",
    re.IGNORECASE,
)
# A password may contain @ and /, but of host:5000/a@b the 5000 is a port. A URL taken for a path has one slash there.
_USER_IN_URL = re.compile(
    r"""(?P<before>://?)[^\s/@:'"<>]{0,200}:(?!\d+[/?#])[^\s'"<>]{0,200}@|(?P<http>\bhttps?://)(?!\[redacted)[^\s/@:'"<>]{1,200}@""",
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"\b(?:(?:hf|api_org|gh[pousr])_(?=\w*[A-Z0-9])[A-Za-z0-9]{16,}|github_pat_\w{20,}|glpat-[\w-]{20,}"
    r"|sk-(?=[\w-]*\d)[\w-]{20,}|xox[a-z]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|dapi[0-9a-f]{32}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)

_WAYS = {
    "http": "MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    "postgresql": "PostgreSQL reads PGPASSWORD or ~/.pgpass",
    "mysql": "MySQL reads an option file (mysql+pymysql://user@host/db?read_default_file=~/.my.cnf)",
    "mssql": "ODBC reads a data source of odbc.ini (mssql+pyodbc://name)",
}
_WAYS |= {"https": _WAYS["http"], "postgres": _WAYS["postgresql"], "mariadb": _WAYS["mysql"]}


def redact(text: str) -> str:
    """Return the text with whatever looks like a secret replaced; the rest, such as a URL's host, stays."""
    text = _USER_IN_URL.sub(lambda found: f"{found['before'] or found['http']}{HIDDEN}@", text)
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    text = _SIGNATURE.sub(rf"\1{HIDDEN}", text)
    text = _SETUP.sub(rf"\1{HIDDEN}", text)
    text = _KNOWN.sub(HIDDEN, text)
    return _ASSIGNED.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    is_prose = found[1].endswith(": ") and re.fullmatch(r"\D*", found["value"]) and re.match(r" \w", found["rest"])
    if is_prose and not quote:  # hub_token: cannot be changed
        return found[0]
    return f"{found[1]}{quote}{HIDDEN}{quote}"


def without_secrets(value: Any, key: str = "") -> Any:
    """Return a value as JSON can hold it, without its secrets; None, booleans and what is empty are never secret."""
    if value is None or isinstance(value, bool) or value in ("", [], {}):
        return value
    if _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, dict):
        return {str(name): without_secrets(member, str(name)) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(member) for member in value]
    return value if isinstance(value, (int, float)) else redact(str(value))


def url_problem(key: str, url: str) -> str | None:
    """Return why a URL must not be used, and how to give its password or token instead; None where it holds none."""
    if not _has_secret(url):
        return None
    scheme = re.split(r"[+:]", url.lower(), maxsplit=1)[0]
    way = _WAYS.get(scheme, "its driver's own variables or files take it (PostgreSQL has PGPASSWORD or ~/.pgpass)")
    return (
        f"{key}: holds a password or token, which would be written into files and logs. Leave it out of the URL: {way}."
    )


def _has_secret(url: str) -> bool:
    plain = unquote(url)
    if redact(plain) != plain:
        return True
    if "://" not in url or not {"@", "?"} & set(url):
        return False
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            keys = [name for name, value in parse_qsl(parts.query) if value]
            return "@" in parts.netloc or any(map(_SECRET_KEY.search, keys))
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ValueError:  # no URL at all
        return False
    try:
        database = make_url(url)
    except (ArgumentError, ValueError):  # none of SQLAlchemy's: whoever opens it says so
        return False
    return bool(database.password) or any(map(_SECRET_KEY.search, database.query))


def error_reason(error: Exception) -> str:
    """Return the first line of an error without secrets; of a failed connection only the cause."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    cause = text.partition("Caused by ")[2].partition(": ")[2].removesuffix("))").rstrip("\"'")
    return redact((cause or text)[:300]).rstrip(".")


def keep_secrets() -> None:
    """Let this process show no secret in what logging writes, by whatever logger, and in a traceback that ends it."""
    logging.setLogRecordFactory(_Record)
    sys.excepthook = _print_traceback


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


class _Record(logging.LogRecord):
    def getMessage(self) -> str:
        return redact(super().getMessage())
