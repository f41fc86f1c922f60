"""What a run does with its findings at its end: doctor.json, the tracker, and a few lines in the terminal."""

from collections.abc import Sequence

from mcqa.evaluation.doctor import updates
from mcqa.evaluation.doctor.findings import Finding, count, in_short
from mcqa.evaluation.doctor.rules import diagnose
from mcqa.evaluation.doctor.stored import FILE, history_of
from mcqa.runs import run_folder
from mcqa.runs.files import write_json
from mcqa.runs.record import Record, optional

SHOWN = 3  # findings in the terminal


def keep_findings(record: Record, ended: bool = True) -> list[Finding]:
    """Write all findings about a run to doctor.json, and send them to the tracker; return them.

    ended: whether training has made its last update. No result depends on it, so where it fails there is a warning.
    """
    found: list[Finding] = []

    def keep() -> None:
        history = history_of(record.folder, ended)
        found.extend(diagnose(history))
        write_json(record.folder / FILE, [one.as_dict() for one in found])
        record.keep(record.folder / FILE)
        if (record.folder / updates.FILE).exists():
            record.keep(record.folder / updates.FILE)
        record.tracker.tags({"doctor": in_short(found)})
        counts = {f"doctor/{name}s": float(count(found, name)) for name in ("problem", "hint")}
        record.log(counts, history.last, of="doctor")

    optional("Looking for problems in the run's log", keep)
    return found


def say_findings(record: Record, findings: Sequence[Finding]) -> None:
    """Show problems and hints, one a line; nothing where there are none."""
    worth = [one for one in findings if one.severity != "normal"]
    if not worth:
        return
    command = f"python -m mcqa.doctor {run_folder.shown(record.folder)}"
    record.say(f"From the run's log, explained by: {command}")
    for one in worth[:SHOWN]:
        record.say(f"  {one.severity}: {one.name}." + (f" Try {one.override}." if one.override else ""))
    if len(worth) > SHOWN:
        record.say(f"  and {len(worth) - SHOWN} more")
