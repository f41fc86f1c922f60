"""CSV and TSV of every writer: the same cells, or an error; never other ones."""

import csv
import io

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mcqa.config.errors import DataError
from mcqa.data.formats import FileOptions, read_rows

HEADER = ["question", "A", "B", "answer"]
ROWS = [["Was ist größer, 1 oder 2?", "1; eins", "2", "B"], ["Wer sagt „ja“?", "sie", 'er ("Max")', "A"]]


def read(path, told=None, **options):
    return [row for _, row in read_rows(path, FileOptions(**options), told)]


def fails(path, **options):
    with pytest.raises(DataError) as error:
        read(path, **options)
    return str(error.value)


def written(rows, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\r\n"):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue()


def as_rows(cells, names=HEADER):
    return [dict(zip(names, row, strict=True)) for row in cells]


# --- the delimiter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-8", "utf-16"])
@pytest.mark.parametrize("first_line", ["", "sep=;\r\n"])
def test_the_csv_of_a_german_excel_is_read_and_what_was_found_is_told(tmp_path, encoding, first_line):
    path = tmp_path / "fragen.csv"
    path.write_bytes((first_line + written([HEADER, *ROWS], ";")).encode(encoding))
    told = []
    assert read(path, told) == as_rows(ROWS)
    assert told[-1] == "a semicolon between cells (data.delimiter)"
    name = {"cp1252": "cp1252", "utf-16": "UTF-16"}.get(encoding)
    assert told[:-1] == ([f"the encoding {name} (data.encoding)"] if name else [])
    first_row = read_rows(path)
    assert next(first_row)[0] == f"{path}:{3 if first_line else 2}"


def test_empty_columns_and_rows_of_a_spreadsheet_are_none(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("question;A;;\nWhat?;a;;\n;;;\nWho?;b;;\nWhere?;c;;note\n")
    *rows, bad = read(path)
    assert rows == [{"question": "What?", "A": "a"}, {"question": "Who?", "A": "b"}]
    assert str(bad) == "has 'note' in a column without a name."


@pytest.mark.parametrize(("name", "character"), [("tab", "\t"), ("pipe", "|"), ("comma", ",")])
def test_other_delimiters_are_found_and_named(tmp_path, name, character):
    path = tmp_path / "x.csv"
    path.write_text(written([HEADER, *ROWS], character))
    told = []
    assert read(path, told) == as_rows(ROWS)
    assert told == ([] if name == "comma" else [f"a {name} between cells (data.delimiter)"])


def test_a_delimiter_that_is_not_certain_is_asked_for(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b;c\n1,2;3\n")
    assert "cells may be separated by comma or semicolon. data.delimiter=comma" in fails(path)
    assert read(path, delimiter="semicolon") == [{"a,b": "1,2", "c": "3"}]
    assert read(path, delimiter=",") == [{"a": "1", "b;c": "2;3"}]


def test_any_other_character_separates_cells_if_it_is_given(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(written([HEADER, *ROWS], "#"))
    assert read(path, delimiter="#") == as_rows(ROWS)


def test_a_first_line_that_contradicts_the_configuration_is_an_error(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sep=;\na;b\n1;2\n")
    assert "the file says that ';' stands between cells, and data.delimiter that ',' does" in fails(path, delimiter=",")
    assert read(path, delimiter=";") == [{"a": "1", "b": "2"}]


def test_rows_with_another_number_of_cells_name_the_delimiter(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a;b\n1;2\n1;2;3\n")
    assert "Is a semicolon outside quotation marks, or the file cut off?" in str(read(path)[1])


# --- the header ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_without_a_header_the_first_line_is_a_row_and_columns_are_numbers(tmp_path, name):
    path = tmp_path / name
    path.write_text(written(ROWS, "\t" if name == "x.tsv" else ","))
    assert read(path, header=False) == as_rows(ROWS, ["1", "2", "3", "4"])


def test_a_header_that_may_be_a_row_is_named_as_such(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("What is 2 + 2?,4,5,4\nWhat is 1 + 1?,2,3,2\n")
    assert "names a column twice: '4'. If this line is a row and there is no header: data.header=false" in fails(path)


# --- quotation marks in TSV ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cells",
    [
        ['say "go cats" first', "b"],  # as in CODAH
        ['"Hello," he said.', "b"],
        ['"Hello"', 'She said "no"'],
        ['"Is this', 'quoted?"'],
        ['"', "b"],
    ],
)
def test_quotation_marks_of_a_text_are_kept(tmp_path, cells):
    path = tmp_path / "x.tsv"
    path.write_text("\t".join(["one", "two"]) + "\n" + "\t".join(cells) + "\nWhat?\tthat\n")
    told = []
    assert read(path, told)[0] == dict(zip(["one", "two"], cells, strict=True))
    assert told == (["quotation marks as they are"] if cells[0].startswith('"') else [])


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("cell", ['He said "no"', "two\nlines", "a\ttab", 'both "\n"'])
def test_quotation_marks_of_a_writer_are_removed(tmp_path, quoting, cell):
    path, told = tmp_path / "x.tsv", []
    path.write_bytes(written([["one", "two"], [cell, "b"], ["What?", "that"]], "\t", quoting).encode())
    assert read(path, told)[0] == {"one": cell, "two": "b"} and told == []


# --- whatever is written ---------------------------------------------------------------------------------------------

WORDS = [" Größe ", " schön ", " “no” ", " – ", " école "]
TEXTS = st.lists(st.sampled_from([*"ab1 .,;|\t\n\"'", *WORDS]), max_size=8).map("".join)


def _is_utf_8(content):
    """As by chance "ß–" of cp1252 is, a letter of N’Ko."""
    try:
        return bool(content.decode())
    except UnicodeDecodeError:
        return False


@given(
    rows=st.lists(st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=4),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "cp1250"]),
    end=st.sampled_from(["\n", "\r\n"]),
    header=st.booleans(),
    given=st.booleans(),
)
def test_what_is_written_is_read_or_refused(tmp_path_factory, rows, delimiter, quoting, encoding, end, header, given):
    names = ["question", "A", "B"] if header else ["1", "2", "3"]
    content = written([*([names] if header else []), *rows], delimiter, quoting, end).encode(encoding)
    options = {"header": header} | ({"delimiter": delimiter, "encoding": encoding} if given else {})
    assume(given or not encoding.startswith("cp") or not _is_utf_8(content) or content.isascii())
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        found = read(path, **options)
    except DataError as error:
        assert not given or "quotation" in str(error)
        return
    kept = [row for row in found if isinstance(row, dict)]
    assert kept == as_rows([row for row in rows if any(row)], names) or len(kept) < len(found)
