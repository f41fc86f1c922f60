"""Which trials are tied with the best: the same questions, all looks counted, and silence where nothing can be told."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.statistics import mcnemar, p_values_against_best, wilson_interval
from mcqa.sweep.report import seed_variance, sentences
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.seed_variance import highest_of
from mcqa.sweep.report.ties import right_answers, study_result
from tests.sweep.report.recorded_studies import NOW, Written, answered, exactly, make_study, question


def found(folder):
    return study_result(read_study(folder, NOW))


def trials(*counts, of=100):
    return [Written(right=exactly(count, of, offset=7 * i)) for i, count in enumerate(counts)]


def test_the_best_is_compared_question_by_question_with_every_other(tmp_path):
    told = found(make_study(tmp_path, trials(60, 70, 40)))
    rights = [one.right for one in trials(60, 70, 40)]
    pairs = [mcnemar(rights[1], rights[0]), mcnemar(rights[1], rights[2])]
    assert told.best.number == 1
    assert told.accuracy == (0.7, *wilson_interval(70, 100))
    assert [one.trial for one in told.others] == [0, 2]
    assert [one.difference for one in told.others] == [(pair.difference, pair.low, pair.high) for pair in pairs]
    assert [one.p for one in told.others] == [pair.p for pair in pairs]
    assert [one.p_adjusted for one in told.others] == p_values_against_best(rights, 1)[::2]


def worse_by_ten(count):
    """Each answers ten other questions of the sixty wrong."""
    draw = np.random.default_rng(0)
    lost = [set(draw.choice(60, 10, replace=False)) for _ in range(count)]
    return [Written(right=[i < 60 and i not in one for i in range(100)]) for one in lost]


def test_the_same_difference_is_a_tie_once_many_trials_were_looked_at(tmp_path):
    best = Written(right=exactly(60, 100))
    few = found(make_study(tmp_path / "few", [best, *worse_by_ten(1)]))
    many = found(make_study(tmp_path / "many", [best, *worse_by_ten(30)]))
    assert few.tied == ()
    assert len(many.tied) == 30
    assert many.others[0].p < 0.05


def test_trials_that_answer_alike_are_looked_at_once(tmp_path):
    copies = make_study(tmp_path, [Written(right=exactly(60, 100)), *worse_by_ten(1) * 30])
    assert found(copies).tied == ()


def test_questions_that_go_together_count_as_less(tmp_path):
    best, other = exactly(60, 100), exactly(40, 100)
    alone = found(make_study(tmp_path / "a", [Written(right=best), Written(right=other)]))
    together = [
        [
            Prediction(question(i, cluster=f"c{i // 25}"), row.scores, row.tokens)
            for i, row in enumerate(answered(right))
        ]
        for right in (best, other)
    ]
    clustered = found(make_study(tmp_path / "b", [Written(right=rows) for rows in together]))
    assert alone.others[0].p < 0.05 < clustered.others[0].p
    assert clustered.clustered and not alone.clustered


def test_a_minimised_metric_is_best_where_it_is_least(tmp_path):
    folder = make_study(
        tmp_path, [Written(value=0.4), Written(value=0.3)], metric="dev/loss", directions=["minimize"], overrides=[]
    )
    told = found(folder)
    assert told.best.number == 1
    assert "not an accuracy" in told.untold


@pytest.mark.parametrize("status", ["pruned", "failed", "running"])
def test_only_complete_trials_are_compared(tmp_path, status):
    told = found(make_study(tmp_path, [*trials(60, 50), Written(status=status, right=exactly(90, 100))]))
    assert told.best.number == 0
    assert [one.trial for one in told.others] == [1]


def test_without_predictions_there_are_only_values(tmp_path):
    told = found(make_study(tmp_path, [Written(value=0.4), Written(value=0.6)]))
    assert told.best.number == 1 and told.others == ()
    assert "no readable predictions/dev.jsonl" in told.untold


def test_trials_of_other_questions_are_left_out_and_counted(tmp_path):
    others = [Prediction(question(i + 500), row.scores, row.tokens) for i, row in enumerate(answered(exactly(10, 100)))]
    folder = make_study(tmp_path, [*trials(60, 50), Written(right=others), Written(value=0.2)])
    told = found(folder)
    assert [one.trial for one in told.others] == [1]
    assert told.untold == (
        "Not compared with the best: 1 without readable predictions and 1 measured on other questions."
    )


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"not json\n", b'{"id": "q0", "question": "?", "correct": nul'])
def test_a_damaged_file_of_predictions_is_named_and_left_out(tmp_path, damage):
    folder = make_study(tmp_path, trials(60, 50, 40))
    (folder / "trials/2/predictions/dev.jsonl").write_bytes(damage)
    told = found(folder)
    assert [one.trial for one in told.others] == [1]
    assert "trials/2/predictions/dev.jsonl is damaged" in told.problems[0]


def test_values_that_the_predictions_contradict_are_doubted(tmp_path):
    told = found(make_study(tmp_path, [Written(right=exactly(60, 100), value=0.9), *trials(50)]))
    assert "told dev/acc = 0.9, but its predictions give 0.6" in told.problems[0]


@given(right=st.lists(st.booleans(), min_size=1, max_size=30), text=st.text(max_size=20))
@settings(max_examples=40, deadline=None)
def test_reading_what_a_line_says_gives_what_decoding_it_gives(tmp_path_factory, right, text):
    from mcqa.evaluation import predictions
    from mcqa.evaluation.metrics import is_correct as is_right

    path = tmp_path_factory.mktemp("p") / "dev.jsonl"
    trap = f'{text}"correct": true, \\"correct\\": false, "question": '
    rows = answered(right, question=trap, choices=(trap, "b", trap + "c", "d"), context=trap)
    predictions.write(path, rows)
    assert right_answers(path, "acc").right == [is_right(row, "acc") for row in rows] == right
    assert right_answers(path, "acc_norm").right == [is_right(row, "acc_norm") for row in rows]
    assert len(set(right_answers(path, "acc").ids)) == len(right)


@given(st.integers(2, 2000))
def test_the_highest_of_more_is_higher_and_below_its_bound(count):
    assert highest_of(count) < highest_of(count + 1) < math.sqrt(2 * math.log(count + 1)) + 0.01


# --- noise floor ------------------------------------------------------------------------------------------------------


def seeds(root, values, name="seeds-qlora_mcqa", **changes):
    rows = [Written(params={"seed": i}, value=value) for i, value in enumerate(values)]
    given = {"space": {"seed": "range(0, 9)"}, "overrides": ["+experiment=qlora_mcqa", "+sweeps=seeds"]} | changes
    return make_study(root, rows, name=name, **given)


def test_a_study_of_seeds_beside_is_the_noise_floor(tmp_path):
    seeds(tmp_path, [0.5, 0.52, 0.54])
    folder = make_study(tmp_path, trials(60, 58, 20))
    told = found(folder)
    assert told.noise.deviation == pytest.approx(0.02)
    assert told.noise.reach == pytest.approx(4.3027 * math.sqrt(2) * 0.02, rel=1e-3)
    note = next(one for one in sentences.notes(read_study(folder, NOW), told) if one.startswith("Noise floor"))
    assert "standard deviation is 2.0 points" in note and "1 of 2 other trials" in note


@pytest.mark.parametrize(
    "changes",
    [{"overrides": ["+experiment=other", "+sweeps=seeds"]}, {"metric": "dev/loss"}, {"space": {"peft.rank": "1,2"}}],
)
def test_a_study_of_something_else_is_no_noise_floor(tmp_path, changes):
    seeds(tmp_path, [0.5, 0.52, 0.54], **changes)
    folder = make_study(tmp_path, trials(60, 58))
    assert found(folder).noise is None
    assert any(
        "How much the seed alone changes is not known" in one
        for one in sentences.notes(read_study(folder, NOW), found(folder))
    )


def test_a_noise_floor_of_another_base_says_what_differs(tmp_path):
    seeds(tmp_path, [0.5, 0.52], base={"seed": 0, "optimizer": {"learning_rate": 0.1, "weight_decay": 0.5}})
    told = found(make_study(tmp_path, trials(60, 58)))
    assert "optimizer.weight_decay" in told.noise.differs
    assert "optimizer.learning_rate" not in told.noise.differs  # swept


def test_a_study_of_seeds_has_a_mean_and_a_deviation_and_no_best_of_many(tmp_path):
    study = read_study(seeds(tmp_path, [0.5, 0.52, 0.54]), NOW)
    told = study_result(study)
    assert seed_variance.is_of_seeds(study)
    assert sentences.verdict(study, told) == (
        "3 seeds of one configuration: 52.0 % on average, standard deviation 2.0 points."
    )
    assert not any("optimistic" in one for one in sentences.notes(study, told))


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((60,), "Trial 0 has the best dev/acc, 60.0 %; no other trial is complete."),
        ((60, 20), "Trial 0 has the best dev/acc, 60.0 %, better than the other trial by more than noise."),
        ((60, 20, 10), "Trial 0 has the best dev/acc, 60.0 %, better than both others by more than noise."),
        ((60, 59), "Trial 0 has the best dev/acc, 60.0 %, but the other trial cannot be told apart from it."),
        ((60, 59, 58), "Trial 0 has the best dev/acc, 60.0 %, but none of the 2 others is worse by more than noise."),
        ((20, 60, 59), "Trial 1 has the best dev/acc, 60.0 %; 1 of 2 others cannot be told apart from it."),
        ((), "No trial is complete: no trial."),
    ],
)
def test_the_verdict_says_how_many_are_tied(tmp_path, counts, said):
    study = read_study(make_study(tmp_path, trials(*counts)), NOW)
    assert sentences.verdict(study, study_result(study)) == said


def test_the_default_configuration_is_named_with_its_difference(tmp_path):
    usual = {"optimizer.learning_rate": 0.001, "peft.rank": 8}
    rows = [Written(params=usual, right=exactly(55, 100)), *trials(60)]
    study = read_study(make_study(tmp_path, rows), NOW)
    assert study.default.number == 0
    note = sentences.notes(study, study_result(study))[0]
    assert note.startswith("The default configuration, trial 0: 55.0 %, −5.0 points (")


def test_the_storage_says_which_trial_is_the_default_whatever_its_values_seem_to_be(tmp_path):
    usual = {"optimizer.learning_rate": 0.001, "peft.rank": 8}
    seeded = [Written(params=usual, right=exactly(60, 100), default=False), *trials(50)]
    study = read_study(make_study(tmp_path / "a", seeded), NOW)
    assert study.default is None
    assert sentences.notes(study, study_result(study))[0].startswith(
        "The default configuration is no trial of this study"
    )
    rows = [
        Written(params={"scheduler": one}, right=exactly(60, 100), default=one == "linear")
        for one in ("cosine", "linear")
    ]
    study = read_study(make_study(tmp_path / "b", rows, space={"scheduler": "a,b"}, base={"scheduler": {"x": 1}}), NOW)
    assert study.default.number == 1
    assert sentences.default_value(study, "scheduler") == "linear"


def test_the_best_of_many_is_called_optimistic(tmp_path):
    study = read_study(make_study(tmp_path, trials(60, 59, 58)), NOW)
    told = study_result(study)
    assert told.luck == pytest.approx(highest_of(3) * math.sqrt(sum(
        one.newly_right + one.newly_wrong for one in told.others) / 200 / 200))  # fmt: skip
    assert any("The best of 3 is optimistic" in one for one in sentences.notes(study, told))


# --- confirmation -----------------------------------------------------------------------------------------------------


def confirm(folder, configurations):
    import json

    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": configurations}))
    problems: list[str] = []
    return read_confirmation(read_study(folder, NOW), problems), problems


def runs(values, **more):
    return {"trial": 1, "runs": [{"seed": i, "value": value} for i, value in enumerate(values)], **more}


def test_a_confirmation_of_values_has_students_interval_over_seeds(tmp_path):
    folder = make_study(tmp_path, trials(60, 50))
    told, problems = confirm(folder, [runs([0.5, 0.6, 0.7]), runs([0.5, None], default=True)])
    first, usual = told.configurations
    assert first.mean.value == pytest.approx(0.6)
    assert first.mean.high - first.mean.value == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-3)
    assert (len(usual.values), usual.planned) == (1, 2) and math.isnan(usual.mean.low)
    assert first.difference is None and problems == []


def test_a_confirmation_with_predictions_is_compared_with_the_default(tmp_path):
    from mcqa.evaluation import predictions, statistics

    folder = make_study(tmp_path, trials(60, 50))
    rights = {"a": [exactly(80, 100), exactly(78, 100, 5)], "b": [exactly(50, 100), exactly(52, 100, 5)]}
    for name, answers in rights.items():
        for seed, right in enumerate(answers):
            predictions.write(folder / f"confirm/{name}{seed}/predictions/test.jsonl", answered(right))
    rows = [
        {"trial": i, "default": name == "b", "runs": [
            {"seed": seed, "value": sum(right) / 100, "folder": f"confirm/{name}{seed}"}
            for seed, right in enumerate(answers)]}
        for i, (name, answers) in enumerate(rights.items())
    ]  # fmt: skip
    told, _ = confirm(folder, rows)
    expected = statistics.pooled_difference(rights["b"], rights["a"])
    assert told.by_questions
    assert told.configurations[0].difference == (expected.difference, expected.low, expected.high)
    assert told.configurations[0].p_holm == pytest.approx(expected.p)
    assert told.configurations[1].difference is None


def with_predictions(folder, **rights):
    """confirm.json of one run for each of several configurations; "usual" is the default."""
    from mcqa.evaluation import predictions

    for name, right in rights.items():
        predictions.write(folder / f"confirm/{name}/predictions/test.jsonl", answered(right))
    return [
        {"trial": i, "default": name == "usual", "runs": [
            {"seed": 1, "value": sum(right) / len(right), "folder": f"confirm/{name}"}]}
        for i, (name, right) in enumerate(rights.items())
    ]  # fmt: skip


def test_the_mean_over_seeds_has_the_interval_of_a_pooled_accuracy(tmp_path):
    from mcqa.evaluation import statistics

    folder = make_study(tmp_path, trials(60, 50))
    rights = {"a": exactly(80, 100), "b": exactly(78, 100, 5)}
    one, other = with_predictions(folder, **rights)
    told, _ = confirm(folder, [one | {"runs": one["runs"] + other["runs"]}])
    assert told.configurations[0].mean == (0.79, *statistics.pooled_accuracy_interval(list(rights.values())))


@pytest.mark.parametrize("damage", ["", "{}\n", '{"id": "q0", "correct": tr'])
def test_a_confirmation_whose_predictions_are_damaged_is_told_by_its_values(tmp_path, damage):
    folder = make_study(tmp_path, trials(60, 50))
    rows = with_predictions(folder, a=exactly(80, 100), usual=exactly(50, 100))
    (folder / "confirm/a/predictions/test.jsonl").write_text(damage)
    told, problems = confirm(folder, rows)
    assert [one.mean.value for one in told.configurations] == [0.8, 0.5] and not told.by_questions
    assert "confirm/a/predictions/test.jsonl is damaged" in problems[0]


def test_what_is_no_accuracy_is_confirmed_over_seeds(tmp_path):
    import json

    from scipy.stats import ttest_ind

    folder = make_study(tmp_path, trials(60, 50))
    rows = with_predictions(folder, a=exactly(80, 100), usual=exactly(50, 100))
    values = {0: [0.9, 1.0, 1.2], 1: [1.4, 1.5, 1.5]}
    rows = [row | {"runs": [row["runs"][0] | {"value": value} for value in values[i]]} for i, row in enumerate(rows)]
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/loss", "configurations": rows}))
    problems: list[str] = []
    told = read_confirmation(read_study(folder, NOW), problems)
    welch = ttest_ind(values[0], values[1], equal_var=False)
    first = told.configurations[0]
    assert problems == [] and not told.by_questions
    assert first.p_holm == pytest.approx(welch.pvalue)
    assert first.difference[1:] == pytest.approx(tuple(welch.confidence_interval()))
    assert told.configurations[1].difference is None


@pytest.mark.parametrize("text", ["", "[]", '{"configurations": 3}', '{"configurations": [{"trial": 1}]}', '{"a"'])
def test_a_damaged_confirmation_is_named(tmp_path, text):
    folder = make_study(tmp_path, trials(60))
    (folder / "confirm.json").write_text(text)
    problems: list[str] = []
    assert read_confirmation(read_study(folder, NOW), problems) is None
    assert problems[0].startswith("confirm.json cannot be read")
