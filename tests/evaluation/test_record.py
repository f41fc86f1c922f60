"""A base is measured once, however often the run is resumed."""

import os

import pytest

from mcqa.evaluation import predictions
from mcqa.evaluation.record import measured_once
from tests.compare.finished_runs import answered

ROWS = answered([True, False, True])
QUESTIONS = [row.question for row in ROWS]


def test_what_was_measured_is_not_measured_again(tmp_path):
    path = tmp_path / "predictions" / "base_dev.jsonl"
    assert measured_once(path, QUESTIONS, lambda: ROWS) == ROWS
    assert measured_once(path, QUESTIONS, lambda: pytest.fail("measured again")) == ROWS


def test_a_file_that_lacks_lines_is_replaced(tmp_path):
    path = tmp_path / "base_dev.jsonl"
    predictions.write(path, ROWS[:2])
    assert measured_once(path, QUESTIONS, lambda: ROWS) == ROWS
    assert predictions.read(path) == ROWS


def test_predictions_are_on_the_disk_before_their_file_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / "dev.jsonl"
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(path.exists()))
    predictions.write(path, ROWS)
    assert flushed == [False]
