"""Look at a file of questions: what it is, five rows as questions, and the keys with which a run reads it.

python -m mcqa.inspect FILE [key=value ...]
"""

import shlex
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mcqa.config.errors import ConfigError, listing, shortened
from mcqa.config.plain_command import plain_command
from mcqa.config.plain_options import Option, help_lines, parse, some_text, truth

if TYPE_CHECKING:
    from rich.console import Console

    from mcqa.data.inspection.detection import Failure
    from mcqa.data.inspection.inspection import Inspection, Source, Version
    from mcqa.data.question import Question

SHOWN = 5  # questions, and readings between which a person must decide
EXAMPLES = 2  # of each column
LONGEST = 300  # characters of a question or choice that are shown
LONGEST_EXAMPLE = 40

KNOWN = {
    "data.header": Option("", truth, "whether the first line of a table names its columns: true or false"),
    "data.delimiter": Option("", some_text, "what stands between cells: comma, semicolon, tab, pipe, or a character"),
    "data.encoding": Option("", some_text, "such as cp1252"),
    "data.sheet": Option("", some_text, "the sheet of an Excel file"),
    "data.answers": Option("", some_text, "a file beside the rows with one answer a line, as {split}-labels.lst"),
}

HELP = f"""Look at a file of questions: what it is, five rows as questions, and the keys with which a run reads it.

  python -m mcqa.inspect FILE          a file with questions, or a folder with a file for each split

Nothing is written. Options (key=value) are those of a run, for what is not found in the file:
{help_lines(KNOWN)}"""


def main(arguments: Sequence[str]) -> None:
    """Show what a file is, five of its rows as questions, and the keys that read it."""
    if {"--help", "-h"} & set(arguments):
        return print(HELP)
    from rich.console import Console

    from mcqa.data.inspection import inspection

    show(Console(highlight=False), inspection.inspect(_source(arguments)))


def _source(arguments: Sequence[str]) -> "Source":
    """Return what the command line names.

    Raises:
        ConfigError: all problems of the command line.
    """
    problems: list[str] = []
    paths, values, _ = parse(arguments, KNOWN, problems)
    if len(paths) != 1:
        problems.append(f"name one file or folder, got {len(paths)}; --help says more.")
    if problems:
        raise ConfigError(listing(problems))
    from mcqa.data import files
    from mcqa.data.formats import FileOptions
    from mcqa.data.inspection import inspection

    given = {key.removeprefix("data."): value for key, value in values.items()}
    header, answers = given.pop("header"), given.pop("answers")
    return inspection.find(files.existing_path(paths[0]), FileOptions(**given), header, answers)


# --- what is shown ---------------------------------------------------------------------------------------------------


def show(console: "Console", inspection: "Inspection") -> None:
    """Show the file, its questions, and the keys; or between which keys a person must decide, or what fails."""
    chosen = inspection.certain[0] if inspection.certain else _likely(inspection)
    _show_file(console, inspection, chosen)
    if inspection.certain is not None:
        _show_certain(console, inspection)
    elif inspection.readings:
        _show_readings(console, inspection)
    else:
        failure = chosen.detection.nearest
        if failure is not None:
            _show_failure(console, inspection, chosen, failure)
        elif not inspection.published:
            _show_nothing(console, inspection, chosen)
    _show_published(console, inspection)


def _likely(inspection: "Inspection") -> "Version":
    """The version of the rows to show where none is certain: one that can be read, else with a header."""
    return next((version for version, _ in inspection.readings), inspection.versions[0])


def _show_file(console: "Console", inspection: "Inspection", version: "Version") -> None:
    from rich.table import Table
    from rich.text import Text

    from mcqa.data.formats import extension
    from mcqa.data.inspection.inspection import SPLITS

    named = [path for _, paths in inspection.source.files() for path in paths]
    kinds = ", ".join(sorted({extension(path) for path in named}))
    files = f"{len(named)} files, " if len(named) > 1 else ""
    console.print(f"{inspection.source.path}: {files}{kinds}, {_rows(len(version.table.rows))}", markup=False)
    for note in inspection.notes:
        console.print(note.removeprefix(f"{inspection.source.path.name}: "), markup=False)
    if (test := inspection.source.splits.get("test")) in SPLITS["dev"]:
        console.print(f"There is no test split: {test} is taken for it, and dev is held out from train.")
    if not version.has_header:
        console.print("The first line is a row: columns are numbers.")
    table = Table("column", "examples")
    for name, values in version.table.columns.items():
        distinct = dict.fromkeys(repr(value) for value in values[:1000] if value is not None)
        examples = [each if len(each) <= LONGEST_EXAMPLE else f"{each[:LONGEST_EXAMPLE]}…" for each in distinct]
        table.add_row(Text(shortened(name)), Text(", ".join(islice(examples, EXAMPLES))))
    console.print(table)
    if version.damaged:
        console.print(f"{_rows(len(version.damaged))} damaged and left out here:")
        console.print(*version.damaged[:SHOWN], sep="\n", markup=False)


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"


def _show_certain(console: "Console", inspection: "Inspection") -> None:
    from mcqa.data.readers.columns import label_ends

    assert inspection.certain is not None
    version, reading = inspection.certain
    _show_questions(console, reading.questions)
    console.print(f"These keys read all {len(reading.questions)} rows, and no others that were tried do:\n")
    _show_keys(console, inspection.keys(version, reading.columns))
    notes = []
    if reading.optional:
        more = [f"data.columns.{key}={name}" for key, name in reading.optional.items()]
        notes.append(f"Columns that may be meant for more, if you want it: {shlex.join(more)}")
    if len({len(question.choices) for question in reading.questions}) > 1:
        counts = sorted({len(question.choices) for question in reading.questions})
        notes.append(f"Questions have {', '.join(map(str, counts))} choices.")
    if all(label_ends(question.choices) for question in reading.questions):
        notes.append("Every choice begins with its letter or number; data.columns.strip_labels=true removes it.")
    console.print(*notes, sep="\n", markup=False)


def _show_readings(console: "Console", inspection: "Inspection") -> None:
    readings = inspection.readings
    if len(readings) == 1:
        version, reading = readings[0]
        _show_questions(console, reading.questions)
        doubt = (
            "some rows are damaged"
            if version.damaged
            else f"nothing says that the numbers in {str(reading.columns.answer)!r} are the answers"
        )
        console.print(f"These keys read all other rows, but {doubt}; look whether the right answers are right:\n")
        return _show_keys(console, inspection.keys(version, reading.columns))
    from mcqa.data.inspection.inspection import unlike

    console.print(f"All rows can be read in {len(readings)} ways, and the file does not say which one is meant.")
    keys = list(unlike([reading for _, reading in readings]))
    named = ", ".join(f"data.columns.{key}" for key in keys) or "data.header"
    console.print(f"They differ in {named}. Look which one has the right answers:\n", markup=False)
    if keys == ["answer_as"] and {reading.columns.answer_as for _, reading in readings} == {"index", "index_from_one"}:
        console.print("No answer is 0, which would be the first choice, and none is the number of choices.\n")
    for number, (version, reading) in enumerate(readings[:SHOWN], 1):
        console.rule(f"{number}")
        place = _first_difference(reading.questions, [other.questions for _, other in readings if other is not reading])
        _show_questions(console, reading.questions[place : place + 1])
        _show_keys(console, inspection.keys(version, reading.columns, keys))
        console.print()
    if len(readings) > SHOWN:
        console.print(f"… and {len(readings) - SHOWN} more ways.")


def _first_difference(questions: Sequence["Question"], others: Sequence[Sequence["Question"]]) -> int:
    """The number of the first question that another reading has otherwise."""

    def differs(place: int) -> bool:
        one = questions[place]
        return any(
            place >= len(other) or (one.question, one.choices, one.answer) != (it.question, it.choices, it.answer)
            for other in others
            for it in other[place : place + 1] or [one]
        )

    return next(filter(differs, range(len(questions))), 0)


def _show_failure(console: "Console", inspection: "Inspection", version: "Version", failure: "Failure") -> None:
    rows = len(version.table.rows)
    _show_questions(console, failure.questions)
    console.print(f"No columns read all rows. The nearest fail in {failure.failing} of {rows}:\n")
    _show_keys(console, inspection.keys(version, failure.columns))
    console.print()
    for number, message in failure.errors:
        console.print(f"{version.places[number]}: {message}", markup=False)
    if failure.failing * 2 < rows:
        console.print(
            "Correct these rows, or leave them out with data.bad_rows=skip, which counts them, if the keys are right."
        )


def _show_nothing(console: "Console", inspection: "Inspection", version: "Version") -> None:
    from mcqa.data.inspection.candidates import choices_candidates, printed_choices
    from mcqa.data.inspection.published import form_of_conversations

    if not version.damaged and (name := form_of_conversations(version.table.rows)):
        console.print("No row has choices, and all are conversations, which these keys read:\n")
        return _show_keys(console, inspection.published_keys(name))
    if printed := printed_choices(version.table):
        text = str(version.table.columns[printed[0]][0])[:LONGEST_EXAMPLE]
        console.print(
            f"{printed[0]} holds text ({text!r}) and not a list. Give each choice a column, or keep lists as lists: "
            "JSON Lines, Parquet.",
            markup=False,
        )
    elif like_choices := choices_candidates(version.table):
        console.print(
            f"{', '.join(sorted(like_choices[0].taken))} may be choices, and no column can be their answer. Answers "
            "may be in a file of their own, one a line: data.answers=<file>.",
            markup=False,
        )
    else:
        console.print(
            "No columns look like choices: a list, labels with texts, columns such as A, B, C, D, or a right answer "
            "beside wrong ones. docs/data.md lists what can be read, and how columns are named.",
            markup=False,
        )
        _show_texts(console, inspection, version)


def _show_texts(console: "Console", inspection: "Inspection", version: "Version") -> None:
    """Show the keys by which the rows are texts to train on, where they have a column that is named so."""
    from mcqa.data.texts import COLUMN

    texts = version.table.columns.get(COLUMN, [])
    if version.damaged or not texts or not all(isinstance(text, str) for text in texts):
        return
    lists = {name: values for name, values in version.table.columns.items() if isinstance(values[0], list)}
    phrasings = [
        (name, 1 + min(map(len, values)))
        for name, values in lists.items()
        if all(isinstance(value, list) and all(isinstance(text, str) for text in value) for value in values)
    ]
    console.print(f"\nAs {len(texts)} texts without questions, these keys train on them:\n")
    _show_keys(console, ["objective=pretrain", "peft=none", f"data.texts={inspection.source.path}"])
    for name, count in phrasings:
        console.print(f"\nIf {name} holds paraphrases, each text has {count} phrasings or more:\n", markup=False)
        _show_keys(console, [f"data.paraphrase_columns={name}", f"data.paraphrases={count}"])


def _show_published(console: "Console", inspection: "Inspection") -> None:
    """Show which published sets have this format, and their questions where no columns read them."""
    if not inspection.published:
        return
    names = list(inspection.published)
    if not inspection.readings and all(version.detection.nearest is None for version in inspection.versions):
        _show_questions(console, inspection.published[names[0]])
    their = "that set" if len(names) == 1 else "one of these sets, data is its name"
    console.print(f"\nAll rows are in the format of {', '.join(names)}. If they are {their}:\n", markup=False)
    _show_keys(console, inspection.published_keys(names[0]))


def _show_questions(console: "Console", questions: Sequence["Question"]) -> None:
    from mcqa.data.inspection.shown import question_text

    for question in questions[:SHOWN]:
        console.print(question_text(question, LONGEST))


def _show_keys(console: "Console", keys: Sequence[str]) -> None:
    """Show keys as they are pasted into a shell: unbroken, or with a backslash where a line ends."""
    lines, line = [], ""
    for key in map(shlex.quote, keys):
        if line and len(line) + len(key) > 100:
            lines.append(line)
            line = ""
        line = f"{line} {key}" if line else key
    text = " \\\n    ".join([*lines, line])
    console.print(f"  {text}", style="bold", markup=False, soft_wrap=True)


if __name__ == "__main__":
    plain_command(main)
