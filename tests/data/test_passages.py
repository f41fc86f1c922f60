"""The passages of a collection are read from text, from rows and from folders, and what is none is refused."""

import gzip
import json

import pytest

from mcqa.config.errors import DataError
from mcqa.data import facts
from mcqa.data.passages import read_passages


def file(folder, name, text):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


def test_a_text_file_has_one_passage_a_line_and_each_counts_once(tmp_path):
    text = "\ufeffWhales are mammals.\r\n\n  Trouts are fish. \nWhales are mammals.\n"
    for name in ("mine.txt", "mine.txt.gz"):
        assert read_passages(file(tmp_path, name, text)) == ["Whales are mammals.", "Trouts are fish."]


def test_rows_have_their_passage_in_the_column_text(tmp_path):
    lines = "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(["One\nof two lines.", "Two."]))
    assert read_passages(file(tmp_path, "mine.jsonl", lines)) == ["One\nof two lines.", "Two."]
    assert read_passages(file(tmp_path, "mine.csv", 'title,text\nA,"One, two."\n')) == ["One, two."]


def test_a_folder_is_read_by_name(tmp_path):
    file(tmp_path, "b.txt", "Second.")
    file(tmp_path, "a.jsonl", '{"text": "First."}')
    file(tmp_path, "notes.md", "Not read.")
    assert read_passages(str(tmp_path)) == ["First.", "Second."]


def test_facts_are_the_sentences_of_the_embedded_set():
    assert set(read_passages("facts")) == set(facts.statements())


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("mine.txt", " \n", "has no text in it"),
        ("mine.pdf", "x", r"files end in \.txt"),
        ("mine.jsonl", '{"body": "x"}', r"mine\.jsonl:1: has no text under 'text'; there is body"),
        ("mine.jsonl", '{"text": 3}', "has no text under 'text'"),
        ("mine.jsonl", "{", r"mine\.jsonl:1: "),
        ("mine.txt.gz", "", "has no text in it"),
    ],
)
def test_what_is_no_passage_is_refused(tmp_path, name, text, problem):
    with pytest.raises(DataError, match=problem):
        read_passages(file(tmp_path, name, text))


def test_damaged_text_and_missing_files_are_refused(tmp_path):
    (tmp_path / "latin.txt").write_bytes("One.\nGröße.".encode("latin-1"))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"One.")[:-4])
    (tmp_path / "empty").mkdir()
    for name, problem in (
        ("latin.txt", r"latin\.txt:2: is not UTF-8"),
        ("cut.txt.gz", "cannot be read"),
        ("empty", "no file in this folder ends in"),
        ("lost.txt", r"evaluation\.passages=.*no such file or folder"),
    ):
        with pytest.raises(DataError, match=problem):
            read_passages(str(tmp_path / name))
