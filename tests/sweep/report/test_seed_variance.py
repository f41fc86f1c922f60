"""What the seed alone changes is measured by a study of seeds of the same experiment."""

import math

import pytest

from mcqa.sweep.report import sentences
from mcqa.sweep.report.load import read_study
from mcqa.sweep.report.seed_variance import SeedVariance, varies_only_seed
from mcqa.sweep.report.ties import study_result
from tests.sweep.report.recorded_studies import NOW, Written, make_study, result_of, seed_study, trials


def test_a_study_of_seeds_in_the_same_folder_gives_the_seed_variance(tmp_path):
    seed_study(tmp_path, [0.5, 0.52, 0.54])
    folder = make_study(tmp_path, trials(60, 58, 20))
    result = result_of(folder)
    assert result.seed_variance.standard_deviation == pytest.approx(0.02)
    assert result.seed_variance.least_significant_difference == pytest.approx(4.3027 * math.sqrt(2) * 0.02, rel=1e-3)
    notes = sentences.notes(read_study(folder, NOW), result)
    note = next(note for note in notes if note.startswith("Seed variance"))
    assert "standard deviation is 2.0 points" in note and "1 of 2 other trials" in note
    assert "the best and the worst of 3 equal trials differ by up to 16.7 points by chance" in note


def test_the_best_of_many_is_further_from_the_others_by_chance_than_two_runs_are_from_each_other():
    seeds = SeedVariance("seeds", tuple(0.5 + 0.01 * step for step in range(8)))
    assert seeds.range_by_chance(2) == pytest.approx(seeds.least_significant_difference)
    assert seeds.range_by_chance(16) == pytest.approx(6.85 * seeds.standard_deviation, rel=1e-3)


@pytest.mark.parametrize(
    "changes",
    [{"overrides": ["+experiment=other", "+sweeps=seeds"]}, {"metric": "dev/loss"}, {"space": {"peft.rank": "1,2"}}],
)
def test_a_study_of_something_else_gives_no_seed_variance(tmp_path, changes):
    seed_study(tmp_path, [0.5, 0.52, 0.54], **changes)
    folder = make_study(tmp_path, trials(60, 58))
    assert result_of(folder).seed_variance is None
    notes = sentences.notes(read_study(folder, NOW), result_of(folder))
    assert any("The seed variance is unknown" in note for note in notes)


def test_keys_of_another_base_configuration_are_named(tmp_path):
    seed_study(tmp_path, [0.5, 0.52], base={"seed": 0, "optimizer": {"learning_rate": 0.1, "weight_decay": 0.5}})
    seeds = result_of(make_study(tmp_path, trials(60, 58))).seed_variance
    assert "optimizer.weight_decay" in seeds.differing_keys
    assert "optimizer.learning_rate" not in seeds.differing_keys  # swept


def test_a_study_of_seeds_has_a_mean_and_a_standard_deviation_and_no_selection_bias(tmp_path):
    study = read_study(seed_study(tmp_path, [0.5, 0.52, 0.54]), NOW)
    result = study_result(study)
    assert varies_only_seed(study)
    assert sentences.ties(study, result) == (
        "3 seeds of one configuration: mean 52.0 %, standard deviation 2.0 points."
    )
    assert not any("was chosen" in note for note in sentences.notes(study, result))


def test_a_study_of_the_order_alone_says_so_and_is_no_seed_variance_of_others(tmp_path):
    rows = [Written(params={"order_seed": seed}, value=0.5 + seed / 50) for seed in range(3)]
    given = {"space": {"order_seed": "range(0, 9)"}, "overrides": ["+experiment=qlora_mcqa", "+sweeps=seeds"]}
    study = read_study(make_study(tmp_path, rows, name="seeds-order", **given), NOW)
    assert varies_only_seed(study)
    note = sentences.notes(study, study_result(study))[0]
    assert note.startswith("Two single runs of this configuration that differ in order_seed alone differ by more than ")
    assert result_of(make_study(tmp_path, trials(60, 58))).seed_variance is None
