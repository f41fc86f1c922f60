"""URLs of storages: whole from any folder, and without passwords in files."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mcqa.sweep.optuna_study.storage import absolute, hide, remembered, shown, usable


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///rel.db", "sqlite:///{here}/rel.db"),
        ("sqlite:///a/rel.db?timeout=9", "sqlite:///{here}/a/rel.db?timeout=9"),
        ("sqlite+pysqlite:///rel.db", "sqlite+pysqlite:///{here}/rel.db"),
        ("sqlite:////abs/x.db", "sqlite:////abs/x.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql://host/db", "postgresql://host/db"),
    ],
)
def test_only_the_file_of_a_relative_url_is_made_absolute(url, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute(url) == expected.format(here=Path.cwd())
    assert absolute(absolute(url)) == absolute(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql://host/db?user=me&password=secret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        (
            "hydra.sweeper.storage='mysql+pymysql://me:secret@host/db'",
            "hydra.sweeper.storage='mysql+pymysql://me:***@host/db'",
        ),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("sqlite:////a/x.db", "sqlite:////a/x.db"),
    ],
)
def test_a_password_is_not_shown(url, expected):
    assert shown(url) == shown(expected) == expected


def test_the_process_that_was_given_a_password_can_use_what_was_written_and_another_asks_without():
    written = remembered("postgresql://me:secret@here/db")
    assert usable(written) == "postgresql://me:secret@here/db"
    assert usable("postgresql://me:***@elsewhere/db") == "postgresql://me@elsewhere/db"


def test_hydras_node_loses_a_password_wherever_it_stands_and_keeps_an_interpolation():
    typed = "hydra.sweeper.storage=postgresql://me:secret@host/db"
    node = OmegaConf.create({"sweeper": {"storage": typed.partition("=")[2]}, "overrides": {"hydra": [typed, "a=1"]}})
    hide(node)
    assert "secret" not in OmegaConf.to_yaml(node) and node.overrides.hydra[1] == "a=1"
    node = OmegaConf.create({"sweeper": {"storage": "${oc.env:NO_SUCH_DATABASE}"}, "overrides": {"hydra": []}})
    hide(node)
    assert OmegaConf.to_container(node)["sweeper"]["storage"] == "${oc.env:NO_SUCH_DATABASE}"
