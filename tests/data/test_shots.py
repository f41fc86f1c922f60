"""Whose questions stand before those of a further set."""

import json
from types import SimpleNamespace

import pytest

from mcqa.config.schema import SetConfig, Splits
from mcqa.data import facts
from mcqa.data.loading import load_run_data
from mcqa.data.shots import shots_of
from tests.data.arc_folders import config, evaluation_of, folder, write
from tests.data.arc_folders import row as arc_row
from tests.data.test_prompts import prompt
from tests.small_runs import configured


def read(own, *sets, shots=2, splits=("train", "test")):
    """The data of a configuration with these further sets, and its shots."""
    whole = SimpleNamespace(data=own, evaluation=evaluation_of(sets=sets), prompt=prompt(shots=shots))
    data = load_run_data(whole.data, whole.evaluation, splits)
    return data, shots_of(whole, data)


def pool_of(shots):
    return {shot.id for _, shot in shots.pool}


def test_each_set_has_shots_of_its_own_train_and_a_note_says_whose(tmp_path):
    own, theirs = folder(tmp_path / "own"), folder(tmp_path / "theirs", train=range(500, 510))
    data, shots = read(config(own), SetConfig("other", "test", config(theirs, name="theirs")))
    assert pool_of(shots) == pool_of(shots.of("test")) == {f"q{n}" for n in range(100)}
    assert pool_of(shots.of("other")) == {f"q{n}" for n in range(500, 510)}
    assert "other: shots are train questions of theirs" in data.notes


@pytest.mark.parametrize("kind", ["no split", "no files", "single file"])
def test_a_set_without_a_train_split_has_those_of_data(tmp_path, kind):
    theirs = folder(tmp_path / "theirs")
    if kind == "single file":
        theirs = write(tmp_path / "theirs.jsonl", map(arc_row, range(600, 620)))
    elif kind == "no files":
        (theirs / "train.jsonl").unlink()
    splits = Splits(None if kind == "no split" else "train", "validation", "test")
    other = SetConfig("other", "test", config(theirs, name="theirs", splits=splits))
    data, shots = read(config(folder(tmp_path / "own")), other)
    assert shots.of("other") is shots
    assert "other: shots are train questions of mine" in data.notes


def test_a_train_split_that_cannot_be_read_is_an_error_and_not_passed_over(tmp_path):
    theirs = folder(tmp_path / "theirs", train=[arc_row(1, answerKey="D")])
    with pytest.raises(Exception, match=r"theirs/train\.jsonl:1: answer 'D'"):
        read(config(folder(tmp_path / "own")), SetConfig("other", "test", config(theirs)))


def test_another_split_of_data_has_the_shots_of_data_which_are_not_read_twice(tmp_path):
    own = config(folder(tmp_path / "own"))
    _, shots = read(own, SetConfig("mine_dev", "dev", own))
    assert shots.of("mine_dev") is shots


def test_without_shots_no_train_split_of_a_set_is_read(tmp_path):
    theirs = folder(tmp_path / "theirs")
    (theirs / "train.jsonl").write_text(json.dumps({"no": "question"}))
    data, shots = read(config(folder(tmp_path / "own")), SetConfig("other", "test", config(theirs)), shots=0)
    assert shots.of("other").before(data.splits["other"][0]) == []
    assert not [note for note in data.notes if "shots" in note]


def test_the_dev_of_another_set_has_that_set_s_shots(tmp_path):
    whole, _ = configured(["evaluation.dev=facts", f"data.path={folder(tmp_path)}", "data=arc_easy", "prompt.shots=1"])
    shots = shots_of(whole, load_run_data(whole.data, whole.evaluation))
    assert pool_of(shots.of("dev")) == {question.id for question in facts.questions("train")}
