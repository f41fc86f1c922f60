"""Which files hold a split, and what their names say about their rows."""

import json
import os

import pytest

from mcqa.config.errors import DataError
from mcqa.data.files import (
    existing_path,
    files_of,
    find_split_files,
    is_one_split,
    split_rows,
    subject_from_name,
)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["train.jsonl"],
        ["train.csv.gz"],
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
        ["train/anatomy.arrow", "train/botany.arrow"],
        ["train/data-00000-of-00001.arrow"],
        ["anatomy_train.csv", "botany_train.csv"],
    ],
)
def test_a_split_is_found_in_every_layout_in_order_of_names(tmp_path, names):
    for name in [*names, "test.jsonl", "test/x.csv", "x_test.csv", "training.jsonl", ".train.jsonl", "train/.x.csv"]:
        touch(tmp_path / name)
    for name in ("state.json", "dataset_info.json"):
        (tmp_path / "train").mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_text("{}")
    assert find_split_files(tmp_path, "train") == ([tmp_path / name for name in names], [])


def test_of_a_split_in_two_formats_one_is_read_and_the_others_are_returned_as_unread(tmp_path):
    for name in ("train.arrow", "train.jsonl", "train.csv"):
        touch(tmp_path / name)
    chosen, unread = find_split_files(tmp_path, "train")
    assert chosen == [tmp_path / "train.jsonl"]
    assert unread == [tmp_path / "train.csv", tmp_path / "train.arrow"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["train-00000-of-00002.parquet"], "are 1 of 2; missing are train-00001-of-00002.parquet. Download"),
        (["train-00001-of-00003.csv.gz"], "are 1 of 3; missing are train-00000-of-00003.csv.gz, train-00002-of-00003."),
        (
            ["train/data-00001-of-00002.arrow"],
            "the shards data-*-of-* are 1 of 2; missing are data-00000-of-00002.arrow",
        ),
        (["train-0-of-2-0a1b.parquet"], "missing are train-1-of-2.parquet."),
        (["train-00000-of-00900.json"], "train-00020-of-00900.json and 879 more."),
        (["train-0-of-2.json", "train-1-of-3.json"], "are of totals [2, 3], so of two editions"),
        (["train-0-of-2.json", "train-00000-of-00002.json"], "have number 0 more than once"),
        (["train-0-of-2.json", "train-1-of-2.json", "train-7-of-2.json"], "have number 7 of only 2"),
    ],
)
def test_shards_that_are_not_complete_are_refused(tmp_path, names, told):
    for name in names:
        touch(tmp_path / name)
    with pytest.raises(DataError) as error:
        find_split_files(tmp_path, "train")
    assert told in str(error.value) and str((tmp_path / names[0]).parent) in str(error.value)


@pytest.mark.parametrize("first", [0, 1])
def test_complete_shards_may_count_from_one_and_carry_a_hash(tmp_path, first):
    files = [touch(tmp_path / f"train-{n + first:05}-of-00003-{n:x}f00.parquet") for n in range(3)]
    assert find_split_files(tmp_path, "train") == (files, [])


def test_a_split_may_be_called_like_a_file(tmp_path):
    touch(tmp_path / "ARC-Easy-Train.jsonl")
    assert find_split_files(tmp_path, "ARC-Easy-Train")[0] == [tmp_path / "ARC-Easy-Train.jsonl"]


def test_the_error_for_a_missing_split_lists_what_exists(tmp_path):
    touch(tmp_path / "trian.jsonl")
    touch(tmp_path / "test.jsonl")
    with pytest.raises(DataError) as error:
        find_split_files(tmp_path, "train")
    assert "no split 'train' here. Looked for train.*, train-*-of-*.*, train/*.* and *_train.*" in str(error.value)
    assert "there is test.jsonl, trian.jsonl. Did you mean 'trian'?" in str(error.value)
    assert "data.splits.dev=null holds dev out from train" in str(error.value)


@pytest.mark.parametrize(
    ("file", "split", "subject"),
    [
        ("d/anatomy_test.csv", "test", "anatomy"),
        ("d/test/anatomy_test.csv", "test", "anatomy"),
        ("d/test/world_religions.arrow", "test", "world_religions"),
        ("d/test.csv", "test", ""),
        ("d/test-00000-of-00001.parquet", "test", ""),
        ("d/test/data-00000-of-00001.arrow", "test", ""),
        ("d/test/0000.parquet", "test", ""),
        ("d/anatomy_test.csv.gz", None, "anatomy"),
        ("d/questions.csv", None, ""),
    ],
)
def test_a_subject_is_taken_from_a_file_name_that_has_one(tmp_path, file, split, subject):
    assert subject_from_name(tmp_path / file, split) == subject


def test_a_subject_in_the_row_wins_over_the_files_name(tmp_path):
    path = touch(tmp_path / "test" / "anatomy.jsonl")
    path.write_text('{"q": 1}\n{"q": 2, "subject": "botany"}\n')
    assert [row["subject"] for _, row in split_rows([path], "test")] == ["anatomy", "botany"]


def test_the_error_for_a_missing_path_names_the_nearest(tmp_path, monkeypatch):
    (tmp_path / "questions").mkdir()
    with pytest.raises(DataError, match=r"no such file or folder\. Did you mean 'questions'"):
        existing_path(str(tmp_path / "qestions"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"no such file or folder from {tmp_path}"):
        existing_path("nothing/like/it")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("{}/pipe", "is a pipe, socket or device, and neither a file nor a folder."),
        ("{}/loop", "cannot be looked up (Too many levels of symbolic links)."),
        ("{}/" + "n" * 300, "cannot be looked up (File name too long)."),
        ("{}/a\0b", "cannot be looked up (embedded null byte)."),
        ("~nosuchuser/x", "cannot be looked up (Could not determine home directory.)."),
        ("", "data.path is empty."),
    ],
)
def test_a_path_that_is_none_is_refused_with_its_cause(tmp_path, path, told):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError) as error:
        existing_path(path.format(tmp_path))
    assert str(error.value).startswith("data.path") and str(error.value).endswith(told)


def test_a_file_of_an_unknown_format_is_refused(tmp_path):
    (tmp_path / "x.ods").write_text("")
    with pytest.raises(DataError, match=r"x.ods: files end in .jsonl, .*.xlsx, .parquet, .arrow"):
        existing_path(str(tmp_path / "x.ods"))


# --- saved by datasets -----------------------------------------------------------------------------------------------


def saved(folder, rows, **state):
    """A split as save_to_disk writes it, with a file of the cache beside it."""
    import pyarrow as pa
    from pyarrow import ipc

    folder.mkdir(parents=True)
    for name in ("data-00000-of-00001.arrow", "cache-0a1b2c3d.arrow"):
        table = pa.Table.from_pylist(rows)
        with ipc.new_stream(folder / name, table.schema) as file:
            file.write_table(table)
    content = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": None} | state
    (folder / "state.json").write_text(json.dumps(content))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_of_a_saved_dataset_only_the_files_that_it_lists_are_read(tmp_path):
    folder = saved(tmp_path / "train", [{"q": "a"}, {"q": "b"}])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    assert find_split_files(tmp_path, "train") == ([folder / "data-00000-of-00001.arrow"], [])
    assert is_one_split(folder) and files_of(folder) == [folder / "data-00000-of-00001.arrow"]
    assert not is_one_split(tmp_path)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"_data_files": [{"filename": "other.arrow"}]}, "other.arrow is missing, which state.json lists"),
        ({"_data_files": [{"filename": "../train.arrow"}]}, "train.arrow, which is not in its folder"),
        ({"_data_files": 7}, "state.json: is not as datasets.save_to_disk writes it"),
        ({"_indices_data_files": [{"filename": "indices.arrow"}]}, "chooses some rows of the files"),
    ],
)
def test_a_saved_dataset_that_is_not_whole_is_refused(tmp_path, state, told):
    folder = saved(tmp_path / "train", [{"q": "a"}], **state)
    for read in (lambda: files_of(folder), lambda: find_split_files(tmp_path, "train")):
        with pytest.raises(DataError) as error:
            read()
        assert told in str(error.value)


@pytest.mark.slow
def test_what_datasets_saves_is_read_whole_and_as_a_single_split(tmp_path):
    from datasets import Dataset, DatasetDict

    rows = [{"question": f"{n}?", "choices": ["a", "b"], "answer": n % 2} for n in range(10)]
    chosen = Dataset.from_list(rows).select([1, 3, 5])  # rows of which save_to_disk keeps no others
    DatasetDict({"train": Dataset.from_list(rows), "test": chosen}).save_to_disk(str(tmp_path / "both"))
    chosen.save_to_disk(str(tmp_path / "one"))
    for split, expected in (("train", rows), ("test", [rows[n] for n in (1, 3, 5)])):
        found, unread = find_split_files(tmp_path / "both", split)
        assert [row for _, row in split_rows(found, split)] == expected and unread == []
    assert [row for _, row in split_rows(files_of(tmp_path / "one"), None)] == [rows[n] for n in (1, 3, 5)]


# --- notes -----------------------------------------------------------------------------------------------------------


def test_what_is_found_in_several_files_is_told_once(tmp_path):
    for subject in ("anatomy", "botany", "zoology"):
        (tmp_path / f"{subject}_test.csv").write_bytes(b"q;a\nGr\xf6\xdfe;1\n")
    (tmp_path / "x_test.csv").write_text("q,a\nsize,1\n")
    notes = []
    assert len(list(split_rows(sorted(tmp_path.glob("*.csv")), "test", notes=notes))) == 4
    assert notes == [
        "test: anatomy_test.csv and 2 more files read with the encoding cp1252 (data.encoding) and a semicolon between "
        "cells (data.delimiter)"
    ]
