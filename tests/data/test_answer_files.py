"""Answers in a file of their own go to the rows one by one, and to none where the numbers do not match."""

import pytest

from mcqa.config.errors import DataError
from mcqa.data.answer_files import answers_path, with_answers


def rows(count):
    return ((f"q.jsonl:{number + 1}", {"goal": f"{number}?"}) for number in range(count))


def answered(tmp_path, text, found):
    (tmp_path / "labels.lst").write_text(text, "utf-8")
    return list(with_answers(found, tmp_path / "labels.lst", "label"))


def test_each_row_has_the_answer_of_its_line_also_where_another_row_is_damaged(tmp_path):
    damaged = ("q.jsonl:2", DataError("is not JSON"))
    found = answered(tmp_path, "1\n0\n1\n", iter([*rows(1), damaged, *rows(1)]))
    assert [row["label"] for _, row in found if isinstance(row, dict)] == ["1", "1"]
    assert found[1] == damaged


@pytest.mark.parametrize(("text", "lines"), [("1\n0\n", 2), ("1\n0\n1\n1", 4), ("", 0)])
def test_more_or_fewer_lines_than_rows_are_an_error(tmp_path, text, lines):
    with pytest.raises(DataError, match=f"labels.lst: has {lines} lines, and there are 3 rows"):
        answered(tmp_path, text, rows(3))


def test_a_column_that_is_there_already_is_not_overwritten(tmp_path):
    with pytest.raises(DataError, match=r"q.jsonl:1: has a column 'label', and data.answers=.* gives answers too"):
        answered(tmp_path, "1\n", iter([("q.jsonl:1", {"label": 0})]))


def test_the_file_stands_beside_the_rows_and_may_have_the_splits_name(tmp_path):
    for name in ("train.jsonl", "train-labels.lst", "valid-labels.lst"):
        (tmp_path / name).touch()
    assert answers_path(tmp_path, "{split}-labels.lst", "valid") == tmp_path / "valid-labels.lst"
    assert answers_path(tmp_path / "train.jsonl", "train-labels.lst", None) == tmp_path / "train-labels.lst"
    with pytest.raises(DataError, match="data.path is one file without splits; name the file of its answers"):
        answers_path(tmp_path / "train.jsonl", "{split}-labels.lst", None)
    with pytest.raises(DataError, match="no such file or folder"):
        answers_path(tmp_path, "{split}-labels.lst", "test")
