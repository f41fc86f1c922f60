"""Which trial has the default configuration."""

from mcqa.sweep.report import sentences
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import NOW, Written, make_study, params, trials


def test_the_trial_with_the_values_of_the_base_configuration_is_the_default(tmp_path):
    study = read_study(make_study(tmp_path, [*trials(60), Written(params=params(0.001), value=0.5)]), NOW)
    assert study.default_trial.number == 1


def test_the_storage_says_which_trial_is_the_default_whatever_its_values(tmp_path):
    rows = [Written(params=params(0.001), value=0.6, default=False), *trials(50)]
    assert read_study(make_study(tmp_path / "a", rows), NOW).default_trial is None
    rows = [Written(params={"scheduler": name}, value=0.6, default=name == "linear") for name in ("cosine", "linear")]
    folder = make_study(tmp_path / "b", rows, space={"scheduler": "a,b"}, base={"scheduler": {"x": 1}})
    study = read_study(folder, NOW)
    assert study.default_trial.number == 1
    assert sentences.default_value(study, "scheduler") == "linear"
