"""updates.csv survives crashes and resumed runs."""

import math

from mcqa.evaluation.doctor.updates import HEADER, Update, append, read


def test_updates_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "updates.csv"
    first, second = Update(1, 2.5, 0.25, 0.0), Update(2, math.nan, math.inf, 1e-3)
    append(path, [first])
    append(path, [second])
    assert path.read_text().splitlines()[0] == HEADER
    one, two = read(path)
    assert one == first
    assert math.isnan(two.loss)
    assert (two.number, two.grad_norm, two.learning_rate) == (2, math.inf, 1e-3)


def test_of_an_update_that_a_resumed_run_made_again_the_last_counts(tmp_path):
    path = tmp_path / "updates.csv"
    append(path, [Update(1, 3.0, 1.0, 0.1), Update(2, 2.0, 1.0, 0.1)])
    append(path, [Update(2, 1.5, 1.0, 0.1), Update(3, 1.0, 1.0, 0.1)])
    assert [one.loss for one in read(path)] == [3.0, 1.5, 1.0]


def test_a_line_that_a_crash_has_cut_is_left_out(tmp_path):
    path = tmp_path / "updates.csv"
    append(path, [Update(1, 3.0, 1.0, 0.1)])
    with path.open("a") as file:
        file.write("2,1.")
    append(path, [Update(3, 2.0, 1.0, 0.1)])
    append(path, [Update(4, 1.0, 1.0, 0.1)])
    assert [one.number for one in read(path)] == [1, 4]


def test_a_run_without_the_file_has_no_updates(tmp_path):
    assert read(tmp_path / "updates.csv") == []
