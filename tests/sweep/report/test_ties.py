"""Which trials are tied with the best: the same questions, the choice of the best counted, and what is unknown said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation import predictions
from mcqa.evaluation.decisions import is_correct
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import mcnemar, p_values_against_best, wilson_interval
from mcqa.sweep.report.ties import read_answers
from tests.sweep.report.recorded_studies import Written, answered, exactly, make_study, question, result_of, trials


def test_the_best_is_compared_question_by_question_with_every_other(tmp_path):
    result = result_of(make_study(tmp_path, trials(60, 70, 40)))
    rights = [trial.right for trial in trials(60, 70, 40)]
    pairs = [mcnemar(rights[1], rights[0]), mcnemar(rights[1], rights[2])]
    assert result.best.number == 1
    assert result.accuracy == (0.7, *wilson_interval(70, 100))
    assert [one.trial for one in result.comparisons] == [0, 2]
    assert [one.difference for one in result.comparisons] == [(pair.difference, pair.low, pair.high) for pair in pairs]
    assert [one.p for one in result.comparisons] == [pair.p for pair in pairs]
    assert [one.p_adjusted for one in result.comparisons] == p_values_against_best(rights, 1)[::2]


def worse_by_ten(count):
    """Each answers ten other questions of the sixty wrong."""
    generator = np.random.default_rng(0)
    lost = [set(generator.choice(60, 10, replace=False)) for _ in range(count)]
    return [Written(right=[i < 60 and i not in wrong for i in range(100)]) for wrong in lost]


def test_the_same_difference_is_a_tie_once_there_are_many_trials(tmp_path):
    best = Written(right=exactly(60, 100))
    few = result_of(make_study(tmp_path / "few", [best, *worse_by_ten(1)]))
    many = result_of(make_study(tmp_path / "many", [best, *worse_by_ten(30)]))
    assert few.tied == ()
    assert len(many.tied) == 30
    assert many.comparisons[0].p < 0.05


def test_trials_with_identical_answers_count_as_one(tmp_path):
    copies = make_study(tmp_path, [Written(right=exactly(60, 100)), *worse_by_ten(1) * 30])
    assert result_of(copies).tied == ()


def test_clusters_of_related_questions_count_as_less(tmp_path):
    best, other = exactly(60, 100), exactly(40, 100)
    alone = result_of(make_study(tmp_path / "a", [Written(right=best), Written(right=other)]))
    in_clusters = [
        [
            Prediction(question(i, cluster=f"c{i // 25}"), row.scores, row.tokens)
            for i, row in enumerate(answered(right))
        ]
        for right in (best, other)
    ]
    clustered = result_of(make_study(tmp_path / "b", [Written(right=rows) for rows in in_clusters]))
    assert alone.comparisons[0].p < 0.05 < clustered.comparisons[0].p
    assert clustered.clustered and not alone.clustered


def test_a_minimised_metric_is_best_where_it_is_least(tmp_path):
    rows = [Written(value=0.4), Written(value=0.3)]
    result = result_of(make_study(tmp_path, rows, metric="dev/loss", direction="minimize", overrides=[]))
    assert result.best.number == 1
    assert "not an accuracy" in result.not_compared_because


@pytest.mark.parametrize("status", ["pruned", "failed", "running"])
def test_only_complete_trials_are_compared(tmp_path, status):
    result = result_of(make_study(tmp_path, [*trials(60, 50), Written(status=status, right=exactly(90, 100))]))
    assert result.best.number == 0
    assert [comparison.trial for comparison in result.comparisons] == [1]


def test_without_predictions_there_are_only_values(tmp_path):
    result = result_of(make_study(tmp_path, [Written(value=0.4), Written(value=0.6)]))
    assert result.best.number == 1 and result.comparisons == ()
    assert "no readable predictions/dev.jsonl" in result.not_compared_because


def test_trials_of_other_questions_are_left_out_and_counted(tmp_path):
    others = [Prediction(question(i + 500), row.scores, row.tokens) for i, row in enumerate(answered(exactly(10, 100)))]
    result = result_of(make_study(tmp_path, [*trials(60, 50), Written(right=others), Written(value=0.2)]))
    assert [comparison.trial for comparison in result.comparisons] == [1]
    assert result.not_compared_because == (
        "Not compared with the best: 1 without readable predictions and 1 measured on other questions."
    )


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"not json\n", b'{"id": "q0", "question": "?", "correct": nul'])
def test_a_damaged_file_of_predictions_is_named_and_left_out(tmp_path, damage):
    folder = make_study(tmp_path, trials(60, 50, 40))
    (folder / "trials/2/predictions/dev.jsonl").write_bytes(damage)
    result = result_of(folder)
    assert [comparison.trial for comparison in result.comparisons] == [1]
    assert "trials/2/predictions/dev.jsonl is damaged" in result.problems[0]


def test_predictions_of_the_best_that_only_decoding_shows_to_be_damaged_leave_the_values(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    path = folder / "trials/0/predictions/dev.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"id": "q1"', b'"id": "q0"', 1))
    result = result_of(folder)
    assert result.best.number == 0 and result.comparisons == ()
    assert "two lines have the same question id" in result.not_compared_because


def test_a_value_that_the_predictions_contradict_is_named(tmp_path):
    result = result_of(make_study(tmp_path, [Written(right=exactly(60, 100), value=0.9), *trials(50)]))
    assert "returned dev/acc = 0.9, but its predictions give 0.6" in result.problems[0]


@given(right=st.lists(st.booleans(), min_size=1, max_size=30), text=st.text(max_size=20))
@settings(max_examples=40, deadline=None)
def test_scanning_a_line_gives_the_same_as_decoding_it(tmp_path_factory, right, text):
    path = tmp_path_factory.mktemp("p") / "dev.jsonl"
    trap = f'{text}"correct": true, \\"correct\\": false, "question": '
    rows = answered(right, question=trap, choices=(trap, "b", trap + "c", "d"), context=trap)
    predictions.write(path, rows)
    assert read_answers(path, "acc").right == [is_correct(row, "acc") for row in rows] == right
    assert read_answers(path, "acc_norm").right == [is_correct(row, "acc_norm") for row in rows]
    assert len(set(read_answers(path, "acc").ids)) == len(right)
