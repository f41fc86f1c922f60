"""Secrets are hidden in texts and values; words about text tokens are none."""

import pytest

from mcqa.config.secrets import redact, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:hunter2@host:5000/x", "http://[redacted]@host:5000/x"),
        ("postgresql://u:p@ss:w@db/x", "postgresql://[redacted]@db/x"),
        ("Authorization: Bearer abcdefgh.123", "Authorization: Bearer [redacted]"),
        ("failed for hf_aBcDeFgHiJkLmNoPqRsT!", "failed for [redacted]!"),
        ("model.hub_token=abc seed=1", "model.hub_token=[redacted] seed=1"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": "[redacted]", "n": 1}'),
        ("https://host/x?password=abc&n=1", "https://host/x?password=[redacted]&n=1"),
    ],
)
def test_a_secret_in_a_text_is_hidden_and_the_rest_stays(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    ["hf_dataset_name", "max_tokens=5", "tokenizer: gpt2", "pad_token=<pad>", "a bearer of news",
     "http://host:5000/a@b", "/data/hf_home"],
)  # fmt: skip
def test_words_about_text_are_no_secrets(text):
    assert redact(text) == text


def test_none_and_booleans_are_no_secrets():
    values = {"token": None, "use_api_key": True, "secrets": ""}
    assert without_secrets(values) == values
