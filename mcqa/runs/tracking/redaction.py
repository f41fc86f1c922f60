"""Keep secrets out of parameters, tags and messages.

A key decides (`hub_token`, `db.password`), else the value does (`hf_…`, `https://user:password@host`). Words
about text tokens (`pad_token`, `max_tokens`, `loss_per_token`) are no secrets.
"""

import re
from typing import Any

HIDDEN = "[redacted]"

_NAME = (
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
    """The text with whatever looks like a secret replaced; the rest, such as a URL's host, stays readable."""
    text = _USER_IN_URL.sub(rf"\1{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _KNOWN_TOKEN.sub(HIDDEN, text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def without_secrets(value: Any, key: str = "") -> Any:
    """A tree that JSON can hold, without its secrets; None, booleans and "" give nothing away and stay."""
    if value is None or value == "" or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, dict):
        return {str(name): without_secrets(member, str(name)) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(member) for member in value]
    return value if isinstance(value, (int, float)) else redact(str(value))
