"""The texts of data.texts are read, in as many phrasings as asked for, and what cannot be read is an error."""

from dataclasses import replace

import pytest

from mcqa.config.composition import compose
from mcqa.config.errors import DataError
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import facts
from mcqa.data.texts import load_texts

FACTS = typed(compose("config", []), Config).data


def config(**keys):
    return replace(FACTS, **keys)


def test_sentences_are_the_lines_of_a_text_file_or_those_of_the_facts(tmp_path):
    (tmp_path / "texts.txt").write_text(" Whales are mammals. \n\nTrouts are fish.\n")
    assert load_texts(config(texts=str(tmp_path / "texts.txt"))) == ["Whales are mammals.", "Trouts are fish."]
    assert load_texts(config(texts="facts")) == facts.statements()
    assert load_texts(config(texts=None)) == []


def test_generated_facts_have_as_many_phrasings_as_asked_for():
    assert len(load_texts(config(texts="facts", paraphrases=2))) == 902
    counts = {None: 200, 1: 200, 7: 1400}
    assert {count: len(load_texts(config(texts="new_facts", paraphrases=count))) for count in counts} == counts
    assert len(load_texts(config(texts="new_facts", paraphrases=7, reversed=True))) == 2800


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (None, "no such file"),
        (b" \n", "no text in it"),
        (b"a\xff", "not UTF-8 text"),
        ("a\n".encode("utf-16-le"), "saved as UTF-16"),
    ],
)
def test_sentences_that_cannot_be_read_are_an_error(tmp_path, content, cause):
    if content is not None:
        (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(DataError, match=cause):
        load_texts(config(texts=str(tmp_path / "texts.txt")))
