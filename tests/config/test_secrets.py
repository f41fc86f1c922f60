"""Secrets are hidden in texts and values, and URLs that hold one are refused; words about text tokens are none."""

import logging
import sys

import pytest

from mcqa.config.errors import ConfigError
from mcqa.config.secrets import HIDDEN, keep_secrets, redact, url_problem, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter2@host:5000/x", "http://[redacted]@host:5000/x"),
        ("postgresql://u:p@ss:w@db/x", "postgresql://[redacted]@db/x"),
        ("postgresql://u:hun/ter2@db/x", "postgresql://[redacted]@db/x"),
        ("https://hunter2@host/x", "https://[redacted]@host/x"),
        ("no folder /here/https:/me:hunter2@host/x", "no folder /here/https:/[redacted]@host/x"),
        ("Authorization: Bearer abcdefgh.123", "Authorization: Bearer [redacted]"),
        ("{'authorization': 'Basic dXNlcjpw'}", "{'authorization': 'Basic [redacted]'}"),
        ("failed for hf_aBcDeFgHiJkLmNoPqRsT!", "failed for [redacted]!"),
        ("glpat-abcdefghijklmnopqrst, xoxb-1234567890", "[redacted], [redacted]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-d expired", "[redacted] expired"),
        ("model.hub_token=abc seed=1", "model.hub_token=[redacted] seed=1"),
        ("hub_token: abc\nn: 1", "hub_token: [redacted]\nn: 1"),
        ("the password: hunter2 is wrong", "the password: [redacted] is wrong"),
        ("password='two words' n=1", "password='[redacted]' n=1"),
        ("f(token=a,b)", "f(token=[redacted])"),
        ('{"api_key": "a\\"bc", "n": 1}', '{"api_key": "[redacted]", "n": 1}'),
        ("https://host/x?password=abc&n=1", "https://host/x?password=[redacted]&n=1"),
        ("https://x.blob/y?sv=1&sig=ab%3D&x=1", "https://x.blob/y?sv=1&sig=[redacted]&x=1"),
        ("https://s3/x?X-Amz-Signature=ab&y=1", "https://s3/x?X-Amz-Signature=[redacted]&y=1"),
        ("DRIVER=x;PWD=abc;SERVER=h", "DRIVER=x;PWD=[redacted];SERVER=h"),
        ("odbc_connect=DRIVER%3Dx%3BPWD%3Dabc&x=1", "odbc_connect=DRIVER%3Dx%3BPWD%3D[redacted]&x=1"),
        ("export X_PASSWORD=abc", "export X_PASSWORD=[redacted]"),
        ("+hydra.job.env_set.ANY=abc", "+hydra.job.env_set.ANY=[redacted]"),
        ("hydra.launcher.setup=['export ANY=abc']", "hydra.launcher.setup=[redacted]"),
    ],
)
def test_a_secret_in_a_text_is_hidden_and_the_rest_stays(text, shown):
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    ["hf_dataset_name", "hf_internaltestingmodel", "max_tokens=5", "tokenizer: gpt2", "pad_token=<pad>",
     "loss_per_token: 0.3", "Unexpected token: x", "hub_token: null", "hub_token: cannot be changed",
     "a bearer of news", "secretary: Jo",
     "sk-learn-models-and-more-of-them", "http://host:5000/a@b", "ssh://git@host/x", "me@host.org", "/data/hf_home",
     "PWD=/home/me", "sqlite:////home/me@host/x.db"],
)  # fmt: skip
def test_words_about_text_paths_and_addresses_are_no_secrets(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "text", ["://a:", "https://a", "password=a,", "eyJaaaaaaaa.", "token ", "env_set.a", "password", "=,"]
)
def test_a_long_text_is_redacted_too(text):
    """A pattern that tries every way to divide such a text would not end."""
    assert HIDDEN in redact(f"password={text * 10_000}")


def test_none_booleans_and_what_is_empty_are_no_secrets():
    values = {"token": None, "use_api_key": True, "secrets": "", "env_set": {}, "setup": []}
    assert without_secrets(values) == values


def test_all_that_a_job_gets_by_its_environment_is_hidden():
    hydra = {"job": {"name": "mcqa", "env_set": {"ANY": "abc"}}, "launcher": {"setup": ["export ANY=abc"], "nodes": 1}}
    assert without_secrets(hydra) == {
        "job": {"name": "mcqa", "env_set": "[redacted]"},
        "launcher": {"setup": "[redacted]", "nodes": 1},
    }


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("http://me:hunter2@host:5000", "MLFLOW_TRACKING_PASSWORD"),
        ("https://hunter2@host", "MLFLOW_TRACKING_TOKEN"),
        ("https://host/x?api_key=hunter2", "MLFLOW_TRACKING_TOKEN"),
        ("postgresql://u:hunter2/x@host/db", r"~/.pgpass"),
        ("postgresql://u:2/hunter2@host/db", r"~/.pgpass"),
        ("postgresql://u:hunter2?#@host/db", r"~/.pgpass"),
        ("postgresql://host/db?passwd=hunter2", r"~/.pgpass"),
        ("postgresql+psycopg2://host/db?Pwd=hunter2", r"~/.pgpass"),
        ("postgresql://host/db?sslpassword=hunter2", r"~/.pgpass"),
        ("mysql+pymysql://me@host/db?PASSWORD=hunter2", "read_default_file"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dhunter2", "odbc.ini"),
        ("redis://:hunter2@host/0", "its driver's own"),
        ("host=h password=hunter2", "its driver's own"),
    ],
)
def test_a_url_with_a_secret_is_refused_with_the_way_to_give_it_and_without_the_secret(url, way):
    problem = url_problem("tracking.uri", url)
    assert problem is not None and problem.startswith("tracking.uri: holds a password or token") and way in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    "url",
    ["http://host:5000", "https://host/a:b@c", "http://[::1]:5000", "http://[::1", "sqlite:///a.db",
     "sqlite:////x/a@b.db", "postgresql://me@host:5432/db", "postgresql:///db?host=/run/postgresql",
     "postgresql://host/db?passfile=~/.pgpass&sslkey=/x", "mysql://me@host/db?read_default_file=~/.my.cnf",
     "databricks://profile", "no url at all"],
)  # fmt: skip
def test_a_url_without_a_secret_is_taken(url):
    assert url_problem("tracking.uri", url) is None


def test_neither_errors_nor_log_lines_nor_tracebacks_show_a_secret(caplog, capsys, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    keep_secrets()
    logging.getLogger("somebody's").warning("%s cannot be reached", "https://me:hunter2@hub")
    assert caplog.messages == ["https://[redacted]@hub cannot be reached"]
    assert str(ConfigError("https://me:hunter2@hub")) == "https://[redacted]@hub"
    sys.excepthook(ValueError, ValueError("https://me:hunter2@hub"), None)
    assert capsys.readouterr().err == "ValueError: https://[redacted]@hub\n"
