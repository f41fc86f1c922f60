"""The command line: runs, options, and every mistake at once."""

import re
from typing import get_args

import pytest

from mcqa.compare import options
from mcqa.compare.options import CLUSTERS, KNOWN, METRICS
from mcqa.config.errors import ConfigError
from mcqa.data.question import Question
from mcqa.evaluation.decisions import SCORES
from mcqa.evaluation.metrics import ClusterBy, compute_metrics
from mcqa.evaluation.predictions import OptionOrder, Prediction


def refused(*arguments):
    with pytest.raises(ConfigError) as error:
        options.parse(arguments)
    return str(error.value)


def test_without_options_test_is_compared_by_accuracy_and_goes_to_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = options.parse(["a", "b"])
    assert (chosen.runs, chosen.split, chosen.metric, chosen.resamples) == (("a", "b"), "test", "acc", 10000)
    assert not (chosen.track or chosen.dry_run)
    assert chosen.out.parent == tmp_path / "outputs" / "compare"
    assert chosen.out != options.parse(["a", "b"]).out


def test_every_problem_is_reported_at_once_with_the_nearest_known_name():
    message = refused("a", "metrc=acc", "resamples=3", "track=perhaps", "--json", "split=")
    assert message.splitlines()[0] == "The configuration has 5 problems:"
    assert "metrc: unknown option" in message and "Did you mean 'metric'?" in message
    assert "resamples=3: must be a whole number from 100 to 1000000." in message
    assert "track=perhaps: must be true or false." in message
    assert "--json: unknown" in message
    assert "split=: needs a value." in message


def test_a_tracking_uri_with_a_password_is_refused_without_repeating_it():
    message = refused("a", "tracking_uri=postgresql://u:hun/ter2@host/db")
    assert "tracking_uri: holds a password" in message and "PGPASSWORD" in message
    assert "ter2" not in message


@pytest.mark.parametrize("name", ["accuracy", "ACC", "acc_nrm"])
def test_a_metric_that_does_not_exist_is_refused_with_those_that_do(name):
    assert f"metric={name}: must be one of {', '.join(METRICS)}" in refused("a", f"metric={name}")


def test_every_accuracy_that_is_counted_question_by_question_can_be_compared():
    orders = (OptionOrder((0, 1), (-1.0, -2.0)), OptionOrder((1, 0), (-1.0, -2.0)))
    extra = {"unconditional": (-1.0, -1.0), "choices_only": (-1.0, -2.0), "orders": orders}
    row = Prediction(Question("q", "?", ("a", "b"), 0), (-1.0, -2.0), (1, 1), letters=True, **extra)
    assert {f"{name}_stderr_independent" for name in METRICS} == {
        name for name in compute_metrics([row]) if name.endswith("_stderr_independent")
    }
    assert set(SCORES) < set(METRICS)


def test_clusters_are_those_of_the_configuration():
    assert get_args(ClusterBy) == CLUSTERS


def test_an_option_that_is_given_twice_is_refused():
    assert "split: given twice, as dev and test." in refused("a", "split=dev", "split=test")


def test_no_run_at_all_names_the_latest_complete_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no run is named. Name a run folder" in refused()
    for number, status in (("7", "complete"), ("8", "failed")):
        (tmp_path / f"outputs/runs/mine/{number}").mkdir(parents=True)
        (tmp_path / f"outputs/runs/mine/{number}/result.json").write_text(f'{{"status": "{status}"}}')
    assert "The latest are outputs/runs/mine/7." in refused("split=dev")


def test_a_folder_with_an_equals_sign_in_its_name_is_a_run(tmp_path):
    folder = tmp_path / "lr=3"
    folder.mkdir()
    assert options.parse([str(folder)]).runs == (str(folder),)


def test_help_names_every_option_and_its_default():
    for name, option in KNOWN.items():
        assert re.search(rf"^  {name}={option.default} ", options.HELP, re.MULTILINE)


def test_a_run_folder_is_no_place_for_a_comparison(tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(ConfigError, match="this is a run's folder"):
        options.check_out(options.parse(["a", f"out={tmp_path}"]))


def test_a_file_is_no_place_for_a_comparison(tmp_path):
    (tmp_path / "page").touch()
    with pytest.raises(ConfigError, match="this is a file, not a folder"):
        options.check_out(options.parse(["a", f"out={tmp_path / 'page'}"]))


@pytest.mark.parametrize("value", ["~nouser/x", "x" * 300, "", "x/" * 3000])
@pytest.mark.parametrize("name", ["out", "outputs"])
def test_a_path_that_nothing_can_have_is_refused(name, value):
    message = refused(f"{name}={value}")
    assert f"{name}=" in message and len(message) < 1000
