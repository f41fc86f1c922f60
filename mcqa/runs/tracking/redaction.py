"""Keep secrets out of parameters, tags and messages.

What is hidden: the value of a key that names a secret (`hub_token`, `db.password`), and what looks like one (`hf_…`,
`https://user:password@host`). Keys about tokens of text (`pad_token`, `max_tokens`, `loss_per_token`) name none.
"""

import re
from typing import Any

HIDDEN = "[redacted]"

_NAME = (  # of a secret
    r"(?:passwd|password|passphrase|secret|credential|(?:api|access|private)[_-]?key"
    r"|(?<!pad_)(?<!eos_)(?<!bos_)(?<!unk_)(?<!sep_)(?<!cls_)(?<!per_)(?<!mask_)token(?![\w-]))"
)

_SECRET_KEY = re.compile(_NAME, re.IGNORECASE)
_ASSIGNED = re.compile(rf"""({_NAME}[\w-]*["']?\s*[=:]\s*["']?)([^\s"',;&)\]}}]+)""", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(://)[^\s/@:]*:[^\s/]*@")

_KNOWN_TOKEN = re.compile(
    r"\b(?:(?:hf|api_org|gh[pousr])_[A-Za-z0-9]{16,}|github_pat_\w{20,}|sk-[\w-]{20,}|AKIA[A-Z0-9]{16})\b"
)


def redact(text: str) -> str:
    """Return the text with whatever looks like a secret replaced; the rest, such as a URL's host, stays."""
    text = _USER_IN_URL.sub(rf"\1{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _KNOWN_TOKEN.sub(HIDDEN, text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def without_secrets(value: Any, key: str = "") -> Any:
    """Return a value as JSON can hold it, without its secrets; None, booleans and "" are never secret."""
    if value is None or value == "" or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, dict):
        return {str(name): without_secrets(member, str(name)) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(member) for member in value]
    return value if isinstance(value, (int, float)) else redact(str(value))


def error_reason(error: Exception) -> str:
    """Return the first line of an error without secrets; of a failed connection only the cause."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    cause = text.partition("Caused by ")[2].partition(": ")[2].removesuffix("))").rstrip("\"'")
    return redact((cause or text)[:300]).rstrip(".")
