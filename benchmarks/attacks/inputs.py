"""Areas `data` and `configurations`: damaged question files, and odd command lines."""

import json
import re
from collections.abc import Iterator
from itertools import count as numbers
from itertools import islice
from pathlib import Path

from benchmarks.attacks.running import Try, Wrong, possible, refused, run, same, sound, succeeded
from tests.attack import configurations, data_files

EVERY = 5  # one data case of so many starts a process of its own
LONGEST_MESSAGE = 60_000


def quoted(text: str) -> str:
    """Return a text as Hydra's grammar quotes it."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + (f"\\{found[2]}" if found[2] else ""), text) + "'"


# --- questions --------------------------------------------------------------------------------------------------------

COLUMNS = (
    "data.columns.choices=[A,B,C,D]",
    "data.columns.id=id",
    "data.columns.subject=subject",
    "data.limit=null",
)


def data(seed: int, count: int, base: Path) -> Iterator[Try]:
    drawn = (case for case in data_files.cases(seed, 10 * count) if possible([case.path, case.split]))
    for number, case in enumerate(islice(drawn, count)):
        yield Try("data", case.name, lambda folder, case=case, own=number % EVERY == 0: _data(case, folder, own))


def _data(case: data_files.Case, folder: Path, own_process: bool) -> None:
    questions, others = folder / "questions", data_files.questions(60)
    questions.mkdir()
    for split, rows in (("train", others[20:40]), ("dev", others[40:])):
        (questions / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    case.write(questions, data_files.questions())
    path = case.path.replace("{folder}", str(questions))

    def command(*more: str):
        given = [f"data.path={quoted(path)}", f"data.splits.test={quoted(case.split)}", *more]
        arguments = ["+experiment=smoke", "data=local", *given, *COLUMNS, "dry_run=true", "tracking=none"]
        return run("mcqa.train", arguments, folder, own_process=own_process)

    ended = command()
    if case.outcome in ("error", "row left out"):
        refused(ended, case.message)
    elif case.outcome == "as before":
        _loads(ended, data_files.QUESTIONS)
    else:
        sound(ended)
    if case.outcome == "row left out":
        ended = command("data.bad_rows=skip")
        _loads(ended, data_files.QUESTIONS - 1)
        if case.message not in ended.output:
            raise Wrong("silently wrong", f"the row that is left out is not told with {case.message!r}", ended)


def _loads(ended, questions: int) -> None:
    succeeded(ended)
    found = re.search(r"\btest (\d+)", ended.output)
    same("questions of test", found and int(found[1]), questions, ended)


# --- command lines ----------------------------------------------------------------------------------------------------


def command_lines(seed: int, count: int, base: Path) -> Iterator[Try]:
    lines = (case for case in configurations.cases(seed, 2 * count) if possible(case.arguments))
    for case, _ in zip(islice(lines, count), numbers(), strict=False):
        yield Try("configurations", case.name, lambda folder, case=case: _configuration(case, folder))


def _configuration(case: configurations.Case, folder: Path) -> None:
    ended = run("mcqa.train", configurations.command_line(case, "outputs"), folder, own_process=True)
    if case.expected == "fine":
        return succeeded(ended)
    refused(ended, case.message)
    if len(ended.output) > LONGEST_MESSAGE:
        raise Wrong("silently wrong", f"a message of {len(ended.output)} characters", ended)
    same("files that it wrote", [path.name for path in folder.iterdir()], [], ended)
