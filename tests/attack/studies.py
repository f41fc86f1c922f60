"""Damaged studies: what a crash, a full disk, another program or a hasty editor leaves of a study's folder.

Pure: `cases` draws from a seed alone, and a case does nothing but change files below the folder that it is given.

    for case in cases(seed=0, count=100):
        folder = copy_of(studies[case.begun_as])
        case.damage(folder)
        ...                                     # start the study again, ask for its report, list its jobs

`begun_as` says what is damaged: a "finished" study, of which every trial is complete; an "unfinished" one, which was
stopped with one trial that has a job and no result; or an unfinished "product", the jobs of a --multirun without a
study. Each is expected to have three trials or jobs, and a study its journal.

`expected` says what must happen when the study is started again by its own command:

    error       an error for users (McqaError), whose message contains `message`; no file is changed or deleted
    as before   it ends well, and every trial that had ended has the value that it had

The report and the list of jobs must never fail, whatever is damaged.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

Study = Literal["finished", "unfinished", "product"]
Expected = Literal["error", "as before"]
Damage = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A way to damage a study. message: a piece of that of the error."""

    name: str
    begun_as: Study
    damage: Damage
    expected: Expected
    message: str = ""


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield `count` cases: every class once, in random order, then again with other bytes, lines and trials."""
    rng = random.Random(seed)
    while count > 0:
        drawn = list(_every_class(rng))
        rng.shuffle(drawn)
        yield from drawn[:count]
        count -= len(drawn)


LAST, FIRST = "2", "0"  # the trials: of an unfinished study the last one has no result

NEEDED = {  # files, and the studies that cannot go on without them
    "study.yaml": ("finished", "unfinished"),
    "journal.log": ("finished", "unfinished"),
    "product.yaml": ("product",),
    f"trials/{LAST}/job.json": ("unfinished", "product"),
    f"trials/{LAST}/config.yaml": ("unfinished", "product"),
    f"trials/{LAST}/hydra.yaml": ("unfinished", "product"),
}
OPTIONAL = (
    f"trials/{FIRST}/job.json",
    f"trials/{FIRST}/config.yaml",
    f"trials/{FIRST}/hydra.yaml",
    f"trials/{FIRST}/overrides.yaml",
    f"trials/{FIRST}/result.json",
    f"trials/{FIRST}/reports.jsonl",
    f"trials/{LAST}/overrides.yaml",
    "controller.json",
    "confirm.json",
    "report.html",
    "trials.csv",
    "best.yaml",
    "multirun.yaml",
)


def _every_class(rng: random.Random) -> Iterator[Case]:
    for path, studies in NEEDED.items():
        for name, content in _contents(rng, path).items():
            for study in studies:
                yield Case(f"{path}: {name}", study, partial(write, path, content), "error", Path(path).name)
    for path in OPTIONAL:
        study: Study = rng.choice(("finished", "unfinished", "product"))
        for name, content in _contents(rng, path).items():
            yield Case(f"{path}: {name}", study, partial(write, path, content), "as before")
    yield from _lines_of_the_journal(rng)
    yield from _values(rng)
    yield from _folders(rng)


def _contents(rng: random.Random, path: str) -> dict[str, bytes]:
    """What stands in a file that is damaged as a whole."""
    deep = rng.randrange(200, 100_000)
    contents = {
        "empty": b"",
        "zeros": bytes(rng.randrange(1, 5000)),
        "no text": bytes([0xFF, *rng.randbytes(rng.randrange(1, 200)).translate(None, b"\n\0"), 0x0A]),
        "nested": b"[" * deep + b"]" * deep + b"\n",
        "half an object": b'{"attempt": 0, "tok\n',
        "a number": b"7\n",
        "a text": b'"what"\n',
        "a list of numbers": b"[1, 2]\n",
        "null": b"null\n",
    }
    if path == "journal.log":  # what a machine that died may leave of a line, which is cut off
        del contents["empty"], contents["zeros"]
    if Path(path).suffix in (".html", ".csv"):
        return {name: contents[name] for name in ("empty", "no text")}
    return contents


def write(path: str, content: bytes, folder: Path) -> None:
    """Replace what a file of the study holds."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


# ---- the journal


def _lines_of_the_journal(rng: random.Random) -> Iterator[Case]:
    study: Study = rng.choice(("finished", "unfinished"))
    own = {"worker_id": "somebody-else"}
    inserted = {
        "no JSON": b"what",
        "zeros": bytes(rng.randrange(1, 300)),
        "half a line": b'{"op_code":6,"worker',
        "two lines in one": b'{"op_code":6,"worker_id":"a"}{"op_code":6,"worker_id":"a"}',
        "an unknown operation": _line({"op_code": rng.randrange(11, 99), **own}),
        "an operation by name": _line({"op_code": "CREATE_TRIAL", **own}),
        "no operation": _line(own),
        "a study that there is not": _line({"op_code": 4, "study_id": rng.randrange(1, 99), **own}),
        "a study of text": _line({"op_code": 4, "study_id": "0", **own}),
        "a trial that there is not": _line({"op_code": 8, "trial_id": rng.randrange(50, 99), "user_attr": {}, **own}),
        "a trial without a start": _line({"op_code": 4, "study_id": 0, **own}),
        "a time that is none": _line({"op_code": 4, "study_id": 0, "datetime_start": "yesterday", **own}),
        "a direction that is none": _line({"op_code": 0, "study_name": "x", "directions": [7], **own}),
        "a list": b"[4, 0]",
        "no text": b"\xff\xfe\xfd",
    }
    for name, line in inserted.items():
        yield Case(f"journal.log: {name}", study, partial(insert, line, rng.random()), "error", "journal.log:")
    tails = {"half a line": b'{"op_code":6,"wor', "zeros": bytes(rng.randrange(1, 300)), "a zeroed line": b"\0\0{}\n"}
    for name, tail in tails.items():
        yield Case(f"journal.log ends in {name}", study, partial(append, tail), "as before")
    for name, content in (("nothing", b""), ("zeros", bytes(rng.randrange(1, 5000)))):
        yield Case(f"journal.log holds {name}", "finished", partial(write, "journal.log", content), "as before")
    yield Case("journal.log: a lock that nobody holds", study, _left_locked, "as before")


def _line(log: dict[str, Any]) -> bytes:
    return json.dumps(log).encode()


def insert(line: bytes, where: float, folder: Path) -> None:
    """Insert a line into the journal, behind the two that begin a study and its first trial, not at the end."""
    lines = (folder / "journal.log").read_bytes().splitlines(keepends=True)
    place = 2 + int(where * (len(lines) - 2))
    (folder / "journal.log").write_bytes(b"".join([*lines[:place], line + b"\n", *lines[place:]]))


def append(tail: bytes, folder: Path) -> None:
    """Append to the journal."""
    with (folder / "journal.log").open("ab") as file:
        file.write(tail)


def _left_locked(folder: Path) -> None:
    (folder / "journal.log.lock").symlink_to("journal.log")


# ---- values of another kind


def _values(rng: random.Random) -> Iterator[Case]:
    wrong: Sequence[Any] = ("seven", [1], {"a": 1}, -1.5e300, True)
    for key in ("attempt", "token", "backend", "slot", "submitted", "end"):
        value = rng.choice([each for each in wrong if not (key == "token" and isinstance(each, str))])
        if (key == "submitted" and value == -1.5e300) or (key == "backend" and value == "seven"):
            value = [1]
        path = f"trials/{LAST}/job.json"
        yield Case(f"{path}: {key}={value!r}", "unfinished", partial(set_value, path, key, value), "error", "job.json")
        yield Case(f"{path}: no {key}", "unfinished", partial(delete_key, path, key), *_without(key))
    yield Case("job.json: a key of a later version", "unfinished", partial(set_value, path, "colour", 1), "as before")
    for key in ("seconds", "metrics", "value", "error", "status", "commit"):
        for value in (*rng.sample(wrong, 2), None, "  ", 10**400):
            path = f"trials/{FIRST}/result.json"
            yield Case(f"{path}: {key}={value!r:.20}", "finished", partial(set_value, path, key, value), "as before")
    for key in ("name", "space", "base", "changes"):
        damage = partial(write, "study.yaml", json.dumps({"name": "s", "space": {}, key: 7}).encode())
        yield Case(f"study.yaml: {key} is a number", "finished", damage, "error", "study.yaml")
    lines = [b'{"point": "x"}', b'{"point": 1e999, "value": 1, "time": 1}', b"[" * 50_000, b'{"point": -1, "value": 0}']
    damage = partial(write, f"trials/{LAST}/reports.jsonl", b"\n".join([*lines, rng.randbytes(40), b'{"poi']))
    yield Case("reports.jsonl: lines of all kinds", "unfinished", damage, "as before")
    for content in (
        {"configurations": 3},
        {"configurations": [{"runs": [{"error": 7, "value": "x"}]}]},
        {"metric": []},
    ):
        damage = partial(write, "confirm.json", json.dumps(content).encode())
        yield Case(f"confirm.json: {content}", "finished", damage, "as before")


def _without(key: str) -> tuple[Expected, str]:
    return ("as before", "") if key == "end" else ("error", "job.json")


def set_value(path: str, key: str, value: Any, folder: Path) -> None:
    """Set a key of an object, or of the last object of a list, in a JSON file."""
    content = json.loads((folder / path).read_text())
    (content[-1] if isinstance(content, list) else content)[key] = value
    (folder / path).write_text(json.dumps(content))


def delete_key(path: str, key: str, folder: Path) -> None:
    """Delete a key of the last object of a list in a JSON file."""
    content = json.loads((folder / path).read_text())
    del content[-1][key]
    (folder / path).write_text(json.dumps(content))


# ---- files and folders in each other's place


def _folders(rng: random.Random) -> Iterator[Case]:
    study: Study = rng.choice(("finished", "unfinished"))
    for path in ("study.yaml", "journal.log", "controller.lock", "controller.json"):
        yield Case(f"{path} is a folder", study, partial(as_folder, path), "error", path)
    for name in ("job.json", "config.yaml", "result.json", "reports.jsonl"):
        path = f"trials/{LAST}/{name}"
        yield Case(f"{path} is a folder", "unfinished", partial(as_folder, path), "error", name)
    for name in ("overrides.yaml", "config.yaml", "job.json", "reports.jsonl"):
        path = f"trials/{FIRST}/{name}"
        yield Case(f"{path} is a folder", "finished", partial(as_folder, path), "as before")
    for name in ("study.yaml", "journal.log", f"trials/{LAST}/job.json", f"trials/{LAST}/config.yaml"):
        yield Case(f"{name} is a link to itself", "unfinished", partial(as_loop, name), "error", Path(name).name)
    for name in ("trials/17", "trials/²", "trials/x", "trials/007", "confirm"):
        yield Case(f"a folder {name} too many", study, partial(as_folder, name), "as before")
        yield Case(f"a file {name} too many", study, partial(write, name, b"what"), "as before")
    for name in (f"trials/{FIRST}", f"trials/{FIRST}/result.json", "controller.json", "report.html"):
        yield Case(f"{name} is gone", study, partial(remove, name), "as before")


def as_folder(path: str, folder: Path) -> None:
    """Put a folder in the place of a file."""
    remove(path, folder)
    (folder / path).mkdir(parents=True)
    (folder / path / "file").touch()


def as_loop(path: str, folder: Path) -> None:
    """Put a link to itself in the place of a file, which nobody can read, not even root."""
    remove(path, folder)
    (folder / path).symlink_to(Path(path).name)


def remove(path: str, folder: Path) -> None:
    """Remove a file or a folder with all it has; nothing where it is not there."""
    target = folder / path
    if target.is_dir() and not target.is_symlink():
        for child in target.iterdir():
            remove(child.name, target)
        target.rmdir()
    else:
        target.unlink(missing_ok=True)
