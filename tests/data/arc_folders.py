"""Small question sets in the form of ARC, for tests of loading."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mcqa.config.errors import DataError
from mcqa.config.schema import DataConfig, Recommended, SetConfig, SetPrompt, Splits
from mcqa.data.loading import SPLITS, load

BASE = DataConfig(
    name="mine",
    reader="arc",
    path=None,
    hub=None,
    hub_config=None,
    revision=None,
    splits=Splits("train", "validation", "test"),
    dev_fraction=0.1,
    split_by="cluster",
    seed=0,
    limit=None,
    bad_rows="error",
    equal_choices="keep_wrong",
    shuffle_choices="auto",
    clean=[],
    allow_overlap=False,
    licence="",
    source="",
    header=True,
    delimiter=None,
    encoding=None,
    sheet=None,
    answers=None,
    harness_task=None,
    columns=None,
    conversations=None,
    sets=[],
    temperature=None,
    texts=None,
    text_column="text",
    paraphrases=None,
    paraphrase_columns=None,
    general_texts=None,
    reversed=False,
    prompt=SetPrompt(style=None, instruction="", template=None, answer_template=None),
    recommended=Recommended(batch_size=128, epochs=3),
)


def config(path=None, **changes):
    return replace(BASE, path=path and str(path), **changes)


def row(n, **changes):
    """A valid ARC row that differs for every n."""
    choices = {"label": ["A", "B", "C"], "text": [f"{n}", f"{n} and one", "none"]}
    return {"id": f"q{n}", "question": f"What is {n}?", "choices": choices, "answerKey": "A"} | changes


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def folder(path, train=range(100), validation=range(100, 120), test=range(120, 150)):
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        write(path / f"{name}.jsonl", [row(n) if isinstance(n, int) else n for n in rows])
    return path


def error_of(config, wanted=SPLITS):
    with pytest.raises(DataError) as error:
        load(config, wanted)
    return str(error.value)


def evaluation_of(dev=None, sets=(), test_limit=None):
    """What loading looks at of an EvaluationConfig."""
    return SimpleNamespace(dev=dev, sets=list(sets), test_limit=test_limit, context=None)


def further(path, name="other", split="test", **changes):
    return SetConfig(name, split, config(path, **({"name": "theirs", "licence": "CC0"} | changes)))
