"""model=run takes the model of a finished run, with what is known of the model that the run began with."""

import pytest
import yaml

from mcqa.config.composition import compose
from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config
from mcqa.config.validation import typed


@pytest.fixture
def run(tmp_path):
    (tmp_path / "model").mkdir()
    stored = compose("config", ["model=qwen3_0_6b"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(stored))
    return tmp_path


def model(*overrides):
    return typed(compose("config", ["model=run", *overrides]), Config).model


def test_all_weights_are_the_model_of_the_run(run):
    base = model(f"model.run={run}")
    assert (base.path, base.run, base.licence) == (str(run / "model"), str(run), "Apache-2.0")


def test_an_adapter_is_merged_first(run):
    (run / "model" / "adapter_config.json").write_text("{}")
    assert model(f"model.run={run}").path == str(run / "export" / "merged")


def test_learning_rates_are_those_of_the_model_that_the_run_began_with(run):
    config = typed(compose("config", ["model=run", f"model.run={run}", "peft=none"]), Config)
    known = typed(compose("config", ["model=qwen3_0_6b"]), Config).model.learning_rate
    assert config.model.learning_rate == known and config.optimizer.learning_rate == known.full


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["model=run"], "model.run: model=run needs model.run=<run folder>"),
        (["model=run", "model.run=/no/such"], "there is no finished run with a model in this folder"),
        (["model.run=/no/such"], "model.run: belongs to model=run; write model=run model.run=/no/such"),
    ],
)
def test_what_is_no_run_is_refused(overrides, problem):
    with pytest.raises(ConfigError, match=problem):
        typed(compose("config", overrides), Config)


def test_a_damaged_run_is_refused(run):
    (run / "config.yaml").write_text("a: [")
    (run / "model").rmdir()
    with pytest.raises(ConfigError, match="there is no finished run"):
        model(f"model.run={run}")
