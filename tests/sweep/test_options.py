"""The keys of hydra.sweeper: what is refused before a study begins."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mcqa.config.errors import ConfigError
from mcqa.sweep.options import options_of

CONF = Path(__file__).parents[2] / "hydra_plugins/mcqa_sweeper/conf/hydra/sweeper/mcqa.yaml"


def options(**changes):
    defaults = OmegaConf.to_container(OmegaConf.load(CONF))
    del defaults["defaults"]
    return options_of(defaults | {"sampler": {"name": "tpe"}, "pruner": {"name": "none"}} | changes)


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("postgresql://me:secret@host:5432/db", r"PGPASSWORD or ~/\.pgpass"),
        ("postgresql://host/db?user=me&password=secret&x=1", r"PGPASSWORD or ~/\.pgpass"),
        ("postgresql://host/db?PASSWORD=secret", r"PGPASSWORD or ~/\.pgpass"),
        ("mysql+pymysql://me@host/db?passwd=secret", "MySQL reads an option file"),
        ("mysql+pymysql://me@host/db?Pwd=secret", "MySQL reads an option file"),
        ("redis://:secret@host/0", "its driver's own"),
    ],
)
def test_a_storage_url_with_a_password_is_refused_with_the_way_to_give_it(url, way):
    with pytest.raises(ConfigError, match=rf"hydra\.sweeper\.storage: .*{way}") as error:
        options(storage=url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "sqlite:///study.db",
        "postgresql://me@host:5432/db",
        "postgresql:///db?host=/run/postgresql",
        "mysql+pymysql://me@host/db?read_default_file=~/.my.cnf",
        "no url at all",
    ],
)
def test_a_storage_without_a_password_is_taken(url):
    assert options(storage=url).storage == url


def test_one_new_seed_is_refused_because_it_shows_no_seed_variance():
    with pytest.raises(ConfigError, match=r"confirm=1: one new seed does not show .* Give 3, or at least 2\."):
        options(confirm=1)
    assert [options(confirm=seeds).confirm for seeds in (0, 2, 3)] == [0, 2, 3]


def test_several_objectives_are_refused():
    with pytest.raises(ConfigError, match=r"direction=\['maximize', 'minimize'\]: a study has one objective"):
        options(direction=["maximize", "minimize"])


def test_a_misspelt_direction_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match="Did you mean 'maximize'"):
        options(direction="maximise")


def test_n_trials_or_a_grid_make_a_study():
    assert not options().is_study
    assert options(n_trials=3).is_study and options(sampler={"name": "grid"}).is_study


@pytest.mark.parametrize(
    "name", ["", ".", "..", " ", "/tmp/x", "a/b", "-rf", "~", "~me", " a", "a ", "a\nb", "\x1b[31m", "\udc80"]
)
def test_a_name_that_is_no_folder_of_its_own_is_refused(name):
    with pytest.raises(ConfigError, match="study_name=.*names one folder below sweeps/"):
        options(study_name=name)


def test_a_name_is_as_long_as_a_folder_may_have_it():
    assert options(study_name="ä" * 127).study_name
    with pytest.raises(ConfigError, match="study_name=.*: it has 256 bytes, and a folder's name at most 255"):
        options(study_name="ä" * 128)


@pytest.mark.parametrize("name", ["core-qlora_mcqa", "lr sweep 2", "día=1", "a.b", ".hidden", "100%"])
def test_any_other_name_is_taken(name):
    assert options(study_name=name).study_name == name


def test_arms_without_a_study_are_refused_and_not_forgotten():
    assert options(arms=["kind"], sampler={"name": "grid"}).arms == ["kind"]
    with pytest.raises(ConfigError, match="arms: only a study has arms; give it hydra/sweeper/sampler=grid"):
        options(arms=["kind"])
    with pytest.raises(ConfigError, match="hydra.sweeper.arms"):
        options(arms="kind")
