"""A stored configuration once more."""

import pytest

from mcqa.config.composition import compose
from mcqa.config.errors import ConfigError
from mcqa.runs.files import write_yaml
from mcqa.runs.repeat import config_of_evaluated_run, repeated_config, resumed_config, with_overrides


def test_the_command_line_changes_a_stored_tree_by_whole_groups_and_by_keys():
    stored = compose("config", ["seed=1", "data.limit=5", "hardware.micro_batch_size=3"])
    overrides = ["data=arc_easy", "+seed=2", "outputs=elsewhere"]
    asked = compose("config", ["data=arc_easy", "seed=2", "outputs=elsewhere"])
    config_dict = with_overrides(stored, asked, overrides, leave_out={"outputs"})
    assert config_dict["data"] == asked["data"]
    assert (config_dict["seed"], config_dict["outputs"], config_dict["hardware"]["micro_batch_size"]) == (
        2,
        "outputs",
        3,
    )
    assert stored["seed"] == 1


# --- what a stored run cannot ask for ---------------------------------------------------------------------------------

TRUST, PUBLISH = "++model.trust_remote_code=true", "++objective.trainer_args.push_to_hub=true"


@pytest.fixture
def foreign(tmp_path):
    """A run folder that somebody else may have made, whose configuration asks for everything."""
    write_yaml(tmp_path / "config.yaml", compose("config", [TRUST, PUBLISH, "seed=3"]))
    (tmp_path / "model").mkdir()
    return tmp_path


def repeated(*overrides):
    return repeated_config(compose("config", list(overrides)), overrides)


def resumed(*overrides):
    return resumed_config(compose("config", list(overrides)), overrides)


def evaluated(*overrides):
    return config_of_evaluated_run(compose("evaluate", list(overrides)), overrides)


@pytest.mark.parametrize(("read", "key"), [(repeated, "from_run"), (resumed, "resume")])
def test_a_stored_run_runs_and_publishes_nothing_unless_this_command_says_so(read, key, foreign):
    with pytest.raises(ConfigError) as caught:
        read(f"{key}={foreign}")
    told = str(caught.value)
    assert told.startswith(f"model.trust_remote_code: {key}={foreign} has True stored")
    assert TRUST in told and PUBLISH in told
    with pytest.raises(ConfigError, match="push_to_hub") as caught:
        read(f"{key}={foreign}", TRUST)
    assert "trust_remote_code" not in str(caught.value)
    assert read(f"{key}={foreign}", TRUST, PUBLISH)["model"]["trust_remote_code"] is True


def test_what_a_stored_run_asks_for_can_be_refused_or_replaced_with_its_group(foreign):
    refused = repeated(f"from_run={foreign}", "model.trust_remote_code=false", PUBLISH)
    assert refused["model"]["trust_remote_code"] is False
    assert repeated(f"from_run={foreign}", "model=smollm2_135m", PUBLISH)["model"]["trust_remote_code"] is False


def test_a_finished_run_is_measured_without_its_code_unless_this_command_says_so(foreign):
    with pytest.raises(ConfigError, match=r"model\.trust_remote_code: run=.* add \+\+model"):
        evaluated(f"run={foreign}")
    assert evaluated(f"run={foreign}", TRUST)["model"]["trust_remote_code"] is True


@pytest.mark.parametrize("override", ["seed=1", "model.trust_remote_code=false", "model.path=/elsewhere"])
def test_resuming_takes_only_that_consent(override, foreign):
    with pytest.raises(ConfigError, match="leave the other overrides out"):
        resumed(f"resume={foreign}", TRUST, PUBLISH, override)


# --- what a command line cannot change --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "override", ["model.path=/x", "model=local", "optimizer.learning_rate=1", "objective.epochs=2"]
)
def test_what_made_the_model_of_a_finished_run_cannot_be_changed_when_it_is_measured(override, finished):
    with pytest.raises(ConfigError, match=rf"^{override.split('=')[0]}: run= measures the model that the run saved"):
        evaluated(f"run={finished}", override)


@pytest.fixture
def finished(tmp_path):
    write_yaml(tmp_path / "config.yaml", compose("config", ["seed=3"]))
    return tmp_path


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("~model.path", "~model.path: a stored run has all its keys already"),
        ("+data@second=facts", "has all its keys already"),
        ("+experiment=smoke", "a stored run has its experiment already"),
        ("outputs=5", "outputs: must be a text, got 5."),
        ("outputs=''", "outputs: must not be empty."),
        ("tracking.uri=[1]", "tracking.uri: must be a text"),
        ("dry_run=maybe", "dry_run: must be true or false"),
    ],
)
def test_an_override_that_no_stored_run_can_take_is_quoted(override, told, finished):
    with pytest.raises(ConfigError) as caught:
        repeated(f"from_run={finished}", override)
    assert told in str(caught.value)


def test_a_stored_section_that_is_none_takes_a_whole_section_only(finished):
    config_dict = compose("config", [])
    write_yaml(finished / "config.yaml", config_dict | {"data": config_dict["data"] | {"splits": None}})
    with pytest.raises(ConfigError, match=r"data\.splits\.dev=x: the stored run has no such key; give the whole group"):
        repeated(f"from_run={finished}", "data.splits.dev=x")
    assert repeated(f"from_run={finished}", "data=facts")["data"]["splits"]["dev"] == "dev"


def test_a_value_with_a_comma_is_one_value(finished):
    assert repeated(f"from_run={finished}", "data.path='a,b'")["data"]["path"] == "a,b"
