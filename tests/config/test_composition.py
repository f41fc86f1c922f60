"""What is wrong with a command line before Hydra looks at it."""

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from mcqa.config.composition import ROOT, compose, compose_with_problems, defaults, usage_problems
from mcqa.config.errors import ConfigError


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["-m", "+experiment=smoke", "seed=1,2"],
        ["seed=-1", "--multirun"],
        ["--cfg", "job", "--resolve", "seed=1"],
        ["--config-dir=x", "a=[{b: [1]}]"],
        ["prompt.instruction='((((: a.b.c'"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_hydra_can_read_has_no_problem(arguments):
    assert usage_problems(arguments) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--foo"], "--foo: unknown option."),
        (["--multi", "seed=1"], "--multi: unknown option. Did you mean '--multirun'?"),
        (
            ["--optimizer.learning_rate", "1e-3"],
            "--optimizer.learning_rate: keys have no dashes: optimizer.learning_rate=1e-3",
        ),
        (["--seed.x=3"], "--seed.x=3: keys have no dashes: seed.x=3"),
        (["--cfg"], "--cfg/-c: expected one argument."),
        (["--cfg", "jbo"], "--cfg/-c: invalid choice: 'jbo'"),
        (["seed=1", "--multirun", "name=x"], "name=x: keep all keys together"),
        (["--config-name", "evaluate"], "--config-name: no option here: each command has its own"),
        (["-cp", "elsewhere"], "--config-path: no option here"),
        (["--experimental-rerun", "job.pickle"], "--experimental-rerun: no option here: it would run code from a file"),
        (["seed=" + "9" * 5000], "nests more than 100 deep or has a number of 1000 digits."),
        (["+x=" + "[" * 20_000], "nests more than 100 deep"),
        (["+x=" + "[" * 20_000 + "]" * 20_000], "nests more than 100 deep"),
        (["+" + "a." * 20_000 + "b=1"], "nests more than 100 deep"),
    ],
    ids=str,
)
def test_a_mistake_that_hydra_would_answer_in_other_words_is_one_line(arguments, told):
    (problem,) = usage_problems(arguments)
    assert told in problem
    assert len(problem) < 300


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("name: " + "[" * 5000 + "]" * 5000, "a file of --config-dir nests its values more than 100 deep."),
        ("name: [a\nb: }", "mine.yaml"),
        ("name: x\nlimit: " + "9" * 5000, "a file of --config-dir cannot be read: Exceeds the limit"),
        (b"\xff\xfe\x00", "a file of --config-dir cannot be read: 'utf-8' codec"),
    ],
)
def test_a_file_of_ones_own_that_cannot_be_read_is_a_problem(content, told, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        compose_with_problems("config", ["data=mine"], str(tmp_path))
    assert told in str(caught.value)


def test_the_defaults_are_known_within_a_command_which_composes_as_before():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        assert defaults("config") == defaults("config") and defaults("evaluate")["name"] == "evaluate"
        assert hydra_compose("config", ["seed=3"]).seed == 3
        assert "arc_easy" in GlobalHydra.instance().config_loader().get_group_options("data")
    assert defaults("config") == compose("config", [])
    assert not GlobalHydra.instance().is_initialized()
