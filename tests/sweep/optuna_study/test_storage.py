"""URLs of storages: valid from any folder, and read back from earlier studies."""

from pathlib import Path

import pytest

from mcqa.sweep.optuna_study.storage import absolute, without_mask


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
    ("stored", "url"),
    [
        ("postgresql://me:***@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://host/db?password=***", "postgresql://host/db"),
        ("postgresql://host/db?user=me&password=***&x=1", "postgresql://host/db?user=me&x=1"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("sqlite:////a/x.db?timeout=9", "sqlite:////a/x.db?timeout=9"),
    ],
)
def test_the_mask_of_a_password_in_an_earlier_study_is_left_out(stored, url):
    assert without_mask(stored) == url
