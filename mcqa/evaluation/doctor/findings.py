"""A finding: what is wrong with a run, or looks wrong and is not."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["problem", "hint", "normal"]

SEVERITIES: tuple[Severity, ...] = ("problem", "hint", "normal")
"""The worst first. problem: the result is worth little as it is. hint: it could be better. normal: nothing to do."""


@dataclass(frozen=True)
class Finding:
    """What a rule has seen. evidence: the numbers. meaning: a plain sentence. override: what to try, if anything."""

    name: str
    severity: Severity
    evidence: str
    meaning: str
    override: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as doctor.json has it."""
        return asdict(self)

    def line(self) -> str:
        """Return the finding in a line for the terminal."""
        return f"{self.name}: {self.evidence}. {self.meaning}" + (f" Try {self.override}." if self.override else "")


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings, the worst first."""
    return sorted(findings, key=lambda one: SEVERITIES.index(one.severity))


def count(findings: Sequence[Finding], severity: Severity) -> int:
    """Return how many findings have this severity."""
    return sum(one.severity == severity for one in findings)


def in_short(findings: Sequence[Finding]) -> str:
    """Return problems and hints by name, for a tag or a heading."""
    parts = []
    for severity in ("problem", "hint"):
        if names := [one.name for one in findings if one.severity == severity]:
            parts.append(f"{len(names)} {severity}{'s' * (len(names) > 1)}: {', '.join(names)}")
    return "; ".join(parts) or "nothing stands out"
