"""Only answers to the same questions are compared."""

import pytest

from mcqa.config.errors import DataError
from tests.compare.finished_runs import answered, grouped, make_run, predicted, question


def refused(*runs):
    with pytest.raises(DataError) as error:
        grouped(*runs)
    return str(error.value)


def test_another_order_of_the_same_questions_is_put_right(tmp_path):
    rows = answered([True, False, True])
    found = grouped(
        make_run(tmp_path, "a", rows, peft__rank=1), make_run(tmp_path, "b", list(reversed(rows)), peft__rank=2)
    )
    orders = [[row.question.id for row in one.predictions[0]] for one in found.configurations]
    assert orders == [["q0", "q1", "q2"]] * 2


def test_missing_questions_are_counted_and_named(tmp_path):
    message = refused(
        make_run(tmp_path, "a", [True] * 3, peft__rank=1),
        make_run(tmp_path, "b", [*answered([True] * 3)[1:], predicted(True, question(9))], peft__rank=2),
    )
    assert "2 of 3 and 3 are shared, 1 are only in the first (q0), 1 are only in the other (q9)." in message
    assert "Likely cause: the question file was changed" in message


def test_changed_contents_under_the_same_id_are_other_questions(tmp_path):
    message = refused(
        make_run(tmp_path, "a", [True, True], peft__rank=1),
        make_run(tmp_path, "b", [*answered([True]), predicted(True, question(1, answer=0))], peft__rank=2),
    )
    assert "1 of 2 and 2 are shared, 1 have the same id and other contents (q1)." in message


def test_renamed_questions_are_distinguished_from_others(tmp_path):
    renamed = [predicted(True, question(0, id="zero")), predicted(True, question(1, id="one"))]
    message = refused(
        make_run(tmp_path, "a", [True, True], peft__rank=1), make_run(tmp_path, "b", renamed, peft__rank=2)
    )
    assert "2 have identical contents under another id." in message


def test_the_data_keys_that_differ_are_the_likely_cause(tmp_path):
    message = refused(
        make_run(tmp_path, "a", [True, True], data__path="one.csv", data__limit=8),
        make_run(tmp_path, "b", [True], data__path="other.csv", data__limit=9),
    )
    assert "Likely cause: data.path differs." in message


def test_a_first_look_is_not_compared_with_all_questions(tmp_path):
    message = refused(
        make_run(tmp_path, "a", [True, True], data__path="one.csv", evaluation__test_limit=None),
        make_run(tmp_path, "b", [True], data__path="one.csv", evaluation__test_limit=1),
    )
    assert "Likely cause: evaluation.test_limit differs." in message


def test_of_a_further_set_its_own_keys_are_the_cause_and_not_those_of_data(tmp_path):
    def run(name, right, path):
        sets = [{"name": "arc", "split": "test", "data": {"path": path, "seed": 1}}]
        changes = {"data__path": f"{name}.csv", "evaluation__dev": {"data": {"path": name}}, "evaluation__sets": sets}
        folder = make_run(tmp_path, name, right, **changes)
        (folder / "predictions" / "test.jsonl").rename(folder / "predictions" / "arc.jsonl")
        return folder

    one, other, same = run("a", [True, True], "x.csv"), run("b", [True], "y.csv"), run("c", [True], "x.csv")
    with pytest.raises(DataError, match=r"Likely cause: evaluation\.sets\.arc\.data\.path differs\."):
        grouped(one, other, split="arc")
    with pytest.raises(DataError, match="Likely cause: the question file was changed"):
        grouped(one, same, split="arc")


def test_a_set_that_only_one_run_has_is_the_cause(tmp_path):
    sets = [{"name": "test", "split": "test", "data": {"path": "x.csv"}}]
    one = make_run(tmp_path, "a", [True, True], evaluation__sets=sets, data__path="y.csv")
    message = refused(one, make_run(tmp_path, "b", [True], data__path="z.csv"))
    assert "Likely cause: evaluation.sets.test differs." in message


def test_the_set_that_dev_is_taken_from_is_the_cause_for_dev_alone(tmp_path):
    runs = [
        make_run(tmp_path, name, right, evaluation__dev={"data": {"path": name}}, data__seed=name)
        for name, right in (("a", [True, True]), ("b", [True]))
    ]
    assert "Likely cause: data.seed differs." in refused(*runs)
    for folder in runs:
        (folder / "predictions" / "test.jsonl").rename(folder / "predictions" / "dev.jsonl")
    with pytest.raises(DataError, match=r"Likely cause: evaluation\.dev\.data\.path differs\."):
        grouped(*runs, split="dev")


def test_another_commit_may_be_the_cause_too(tmp_path):
    runs = [
        make_run(tmp_path, f"r{i}", [True] * i, peft__rank=i, environment={"git_commit": f"c{i}", "git_dirty": False})
        for i in (1, 2)
    ]
    assert "or the code was (their commits differ)" in refused(*runs)


def test_a_base_of_other_questions_is_refused_too(tmp_path):
    assert "answered other questions than" in refused(make_run(tmp_path, "a", [True, True], base=[True]))
