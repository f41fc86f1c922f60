"""Files of every format give the same rows, and the error of a damaged one says which and where."""

import csv
import gzip
import json
import os

import pytest

from mcqa.config.errors import DataError
from mcqa.data.formats import FORMATS, FileOptions, read_rows, rows

ROWS = [
    {"question": "Which is a mammal?", "a": "Trout", "b": 'A "whale",\nblue', "answer": "B"},
    {"question": "Größe von µ\u2028?", "a": "None", "b": "NA", "answer": "A"},
    {"question": "Third?", "a": "1", "b": "", "answer": "B"},
]


def write(path, rows=ROWS):
    """The rows in the format that the name says, by the libraries that people write them with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind in ("parquet", "arrow"):
        import pyarrow as pa
        from pyarrow import ipc, parquet

        table = pa.Table.from_pylist(rows)
        if kind == "parquet":
            parquet.write_table(table, path)
            return path
        new = ipc.new_file if path.name.startswith("file") else ipc.new_stream
        with new(path, table.schema) as file:
            file.write_table(table)
        return path
    if kind == "xlsx":
        from openpyxl import Workbook

        book = Workbook()
        for row in [rows[0], *(row.values() for row in rows)]:
            book.active.append(list(row))
        book.save(path)
        return path
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", encoding="utf-8", newline="") as file:
        if kind == "json":
            json.dump(rows, file, indent=1, ensure_ascii=False)
        elif kind == "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def good(path, **options):
    return [row for _, row in read_rows(path, FileOptions(**options))]


def bad(path):
    """{where: message} of the rows that could not be parsed."""
    return {where: str(row) for where, row in read_rows(path) if isinstance(row, DataError)}


def fails(path):
    with pytest.raises(DataError) as error:
        list(read_rows(path))
    return str(error.value)


@pytest.mark.parametrize("name", [*(f"train{end}" for end in FORMATS), "file.arrow"])
def test_every_format_gives_the_same_rows(tmp_path, name):
    rows = good(write(tmp_path / name))
    if name.endswith(".xlsx"):  # in which there is no empty text
        rows = [{key: value or "" for key, value in row.items()} for row in rows]
    assert rows == ROWS


def test_rows_are_placed_by_line_or_by_number(tmp_path):
    path = write(tmp_path / "x.jsonl")
    assert [where for where, _ in read_rows(path)] == [f"{path}:1", f"{path}:2", f"{path}:3"]
    path = write(tmp_path / "x.csv")
    assert [where for where, _ in read_rows(path)] == [f"{path}:2", f"{path}:4", f"{path}:5"], (
        "row 1 goes over two lines"
    )
    for path in (write(tmp_path / "x.json"), write(tmp_path / "x.parquet"), write(tmp_path / "x.arrow")):
        assert [where for where, _ in read_rows(path)] == [f"{path}: row 0", f"{path}: row 1", f"{path}: row 2"]


def test_a_json_file_with_an_object_per_line_is_read_as_such(tmp_path):
    assert good(write(tmp_path / "x.jsonl").rename(tmp_path / "x.json")) == ROWS


def test_a_byte_order_mark_and_blank_lines_do_not_matter(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}')
    assert list(read_rows(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:3", {"a": 2})]
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4\r\n")
    assert list(read_rows(path)) == [(f"{path}:2", {"a": "1", "b": "2"}), (f"{path}:4", {"a": "3", "b": "4"})]


def test_a_csv_file_without_a_header_gets_the_given_column_names(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("q1,x,y\nq2,x,y\n")
    expected = [{"question": "q1", "a": "x", "b": "y"}, {"question": "q2", "a": "x", "b": "y"}]
    assert good(path, names=("question", "a", "b")) == expected
    path.write_text("b,question,a\ny,q1,x\ny,q2,x\n")
    assert good(path, names=("question", "a", "b")) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": 1', "is not JSON (Expecting ',' delimiter at character 8): '{\"a\": 1'."),
        (b"version https://git-lfs.github.com/spec/v1", "is not JSON (Expecting value at character 1): 'version"),
        (b"[1, 2]", "is '[1, 2]', not an object with named fields"),
        (b'{"a": "\xe9"}', "byte 0xe9 is not UTF-8. Was the file saved as Latin-1 or UTF-16?"),
        (b'{"a": "\0"}', "contains a NUL character. Was the file saved as UTF-16, or is it damaged?"),
        (b'{"a": ' + b"1" * 5000 + b"}", "contains a number with too many digits."),
        (b"[" * 20_000 + b"]" * 20_000, "is nested too deeply."),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "an object names 'c' twice, so its value is in doubt."),
    ],
)
def test_a_broken_json_line_is_named_and_its_neighbours_are_read(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 0}\n' + line + b'\n{"a": 2}\n')
    ((where, found),) = bad(path).items()
    assert where == f"{path}:2" and message in found and "cut off" not in found
    assert len(good(path)) == 3


def test_a_last_line_without_an_end_is_reported_as_a_file_cut_off(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 0}\n{"a": "unfini')
    assert bad(path)[f"{path}:2"].endswith("Is the file cut off?")
    path = tmp_path / "x.csv"
    path.write_text("a,b,c\n1,2,3\n4,5")
    assert "has 2 cells and not 3 (a, b, c)" in bad(path)[f"{path}:3"]


def test_an_unquoted_comma_is_named_as_the_likely_cause(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2,3\n")
    assert "has 3 cells and not 2 (a, b). Is a comma outside quotation marks" in bad(path)[f"{path}:2"]


def test_bytes_that_are_not_utf_8_are_named_in_every_text_format(tmp_path):
    for end in (".csv", ".tsv"):
        path = tmp_path / f"x{end}"
        path.write_bytes(b"a\n\xff\n" + "für\n".encode())
        assert "byte 0xff is not UTF-8" in bad(path)[f"{path}:2"]
    path = tmp_path / "x.json"
    path.write_bytes(b'[{"a": 1},\n{"a": "\xff"}]')
    assert f"{path}:2: byte 0xff is not UTF-8" in fails(path)


def test_bytes_that_are_not_utf_8_in_a_table_spoil_only_their_row(tmp_path):
    import pyarrow as pa
    from pyarrow import ipc

    path = tmp_path / "x.arrow"
    text = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    with ipc.new_stream(path, pa.schema([("q", pa.string())])) as file:
        file.write_table(pa.table({"q": text}))
    assert bad(path) == {f"{path}: row 1": "byte 0xff is not UTF-8."}
    assert good(path)[0] == {"q": "a"} and good(path)[2] == {"q": "c"}


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.csv.gz", "x.json.gz"])
def test_a_gzip_file_that_is_cut_off_says_so(tmp_path, name):
    path = write(tmp_path / name, ROWS * 50)
    path.write_bytes(path.read_bytes()[:-20])
    assert f"{path}: cannot be unpacked" in fails(path) and "Is the file cut off?" in fails(path)


def test_a_gz_name_on_a_file_that_is_not_packed_is_an_error(tmp_path):
    path = write(tmp_path / "x.jsonl").rename(tmp_path / "x.jsonl.gz")
    assert f"{path}: cannot be unpacked (Not a gzipped file" in fails(path)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "file.arrow"])
@pytest.mark.parametrize("kept", [0, 5, 400])
def test_a_table_that_is_cut_off_says_so(tmp_path, name, kept):
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[:kept])
    assert f"{path}: cannot be read (" in fails(path)


def test_an_open_quotation_mark_is_found_where_it_opens(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n1,2\n3,"4\n5,6\n')
    assert f"{path}:3: unexpected end of data. Is a quotation mark open" in fails(path)


def test_a_cell_may_be_large(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(f"a,b\n1,{'x' * 500_000}\n")
    assert len(good(path)[0]["b"]) == 500_000


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "LONGEST", 1000)
    for name in ("x.jsonl.gz", "x.csv", "x.json"):
        path = tmp_path / name
        (gzip.open if name.endswith("gz") else open)(path, "wt").write("[" * 100_000)
        assert "more than 1000 characters" in fails(path)


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv.gz", "x.parquet", "x.arrow"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert fails(tmp_path / name).endswith(f"{name}: is a folder, pipe, socket or device, and not a file.")


@pytest.mark.parametrize("end", ["parquet", "arrow"])
def test_a_table_that_names_a_column_twice_is_refused(tmp_path, end):
    import pyarrow as pa
    from pyarrow import ipc, parquet

    path, table = tmp_path / f"x.{end}", pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    if end == "parquet":
        parquet.write_table(table, path)
    else:
        with ipc.new_stream(path, table.schema) as file:
            file.write_table(table)
    assert "names a column twice: 'a'" in fails(path)


def test_a_date_out_of_range_spoils_only_its_row(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    days = pa.array([0, 1, 2**31 - 1, 3, 4], pa.int32()).view(pa.date32())
    parquet.write_table(pa.table({"n": range(5), "day": days}), path)
    ((where, found),) = bad(path).items()
    assert where == f"{path}: row 2" and "cannot be read, such as a date out of range" in found
    assert [row["n"] for row in good(path) if isinstance(row, dict)] == [0, 1, 3, 4]


def test_a_header_that_names_a_column_twice_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,a\n1,2\n")
    assert f"{path}:1: the header names a column twice" in fails(path)


def test_the_error_of_a_list_that_is_cut_off_names_its_last_line(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1},\n{"a": ')
    assert f"{path}:2: is not JSON" in fails(path)
