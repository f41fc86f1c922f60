"""The report on the questions of a run, and the scores that are refused because they would mean nothing."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import chisquare

from mcqa.config.errors import DataError
from mcqa.data.loading import load
from mcqa.data.quality import table
from mcqa.data.quality.report import (
    constant_position,
    few_questions,
    position_p_value,
    refuse_meaningless,
    report_on,
)
from mcqa.data.question import Question
from mcqa.evaluation.predictions import read
from mcqa.models import loading
from mcqa.runs.files import read_json
from tests.data.test_loading import group
from tests.small_runs import configured, trained

REAL = os.environ.get("MCQA_TEST_DATA")


def asked(number, answer=None, choices=4, **changes):
    texts = tuple(f"option {number}.{place}" for place in range(choices))
    place = number % choices if answer is None else answer
    return replace(Question(f"q{number}", f"What is the name of number {number}?", texts, place), **changes)


def splits(**answers):
    """Splits of 20 questions each, all different, with the right answer at one position, or (None) at all."""
    names = list(answers)
    return {name: [asked(100 * names.index(name) + n, answers[name]) for n in range(20)] for name in names}


@pytest.fixture(scope="module")
def config():
    return configured(["prompt=letters"])[0]


def with_data(config, **changes):
    return replace(config, data=replace(config.data, **changes))


def refusal(*arguments, **options):
    with pytest.raises(DataError) as caught:
        refuse_meaningless(*arguments, **options)
    return str(caught.value)


# --- positions -------------------------------------------------------------------------------------------------------


def test_a_right_answer_that_is_always_at_the_same_letter_is_refused_once_for_all_splits(config):
    unshuffled = with_data(config, shuffle_choices=False)
    assert refusal(unshuffled, splits(train=0, dev=0, test=0)) == (
        "train, dev, test: the right answer is option A in all 60 questions. prompt=letters shows the options in this "
        "order, so a model that has learned the position alone answers all of them, and its score means nothing. Take "
        "data.shuffle_choices=true: each question then shows its options in an order of its own."
    )
    assert refusal(config, splits(train=0, dev=2, test=None)).startswith("dev: the right answer is option C in all 20")
    refuse_meaningless(config, splits(train=0, dev=None, test=None))  # training shuffles anew in each epoch
    few = splits(train=0, dev=None, test=0) | {"test": [asked(900 + n, 0) for n in range(3)]}
    assert "test: the right answer is option A in all 3 questions." in refusal(config, few)
    refuse_meaningless(config, splits(train=None, dev=None) | {"test": few["test"]})
    refuse_meaningless(configured(["prompt=cloze"])[0], splits(train=0, dev=0, test=0))


def test_the_key_of_a_further_set_is_named():
    config = configured(["prompt=letters", "evaluation.sets=[arc_easy]"])[0]
    name = config.evaluation.sets[0].name
    assert "Take evaluation.sets[0].shuffle_choices=true" in refusal(config, splits(**{"dev": None, name: 1}))


def test_few_right_answers_at_the_same_position_may_be_chance():
    assert constant_position([asked(n, 0) for n in range(9)]) is None
    assert constant_position([asked(n, 0) for n in range(10)]) == "option A"
    assert constant_position([asked(n, 0, choices=2) for n in range(19)]) is None
    assert constant_position([asked(n, n % 3 + 1, choices=n % 3 + 2) for n in range(30)]) == "the last option"


def test_with_equally_many_options_the_test_of_positions_is_pearsons():
    answers = [0] * 40 + [1] * 25 + [2] * 20 + [3] * 15
    p = position_p_value([asked(n, answer) for n, answer in enumerate(answers)])
    assert p == pytest.approx(chisquare([40, 25, 20, 15]).pvalue)


def test_options_that_few_questions_have_are_not_right_less_often_than_they_should():
    even = [asked(n, n % 4) for n in range(200)]
    rare = [asked(1000 + n, n % 5, choices=5) for n in range(5)]
    mixed = [asked(2000 + n, n % 2, choices=2) for n in range(200)]
    assert position_p_value([*even, *rare]) > 0.99
    assert position_p_value([*even, *mixed]) > 0.99
    assert position_p_value([*even, *[replace(one, answer=0) for one in mixed]]) < 1e-6
    assert position_p_value(even[:8]) is None


def test_questions_of_a_cluster_count_once():
    answers = [0] * 40 + [1] * 20 + [2] * 20 + [3] * 20
    alone = [asked(n, answer) for n, answer in enumerate(answers)]
    together = [replace(one, cluster=str(n // 4)) for n, one in enumerate(alone)]
    assert position_p_value(alone) < 0.02 < 0.2 < position_p_value(together)


# --- overlap ---------------------------------------------------------------------------------------------------------


def test_a_test_that_is_a_part_of_train_is_refused_unless_it_is_allowed(config):
    train = splits(train=None)["train"]
    inside = {"train": train, "dev": [asked(500 + n) for n in range(20)], "test": train[:7]}
    message = refusal(config, inside)
    assert message.startswith("test: all 7 questions are in train too") and "data.allow_overlap=true" in message
    refuse_meaningless(with_data(config, allow_overlap=True), inside)
    refuse_meaningless(config, inside, trains=False)
    refuse_meaningless(config, inside | {"test": [*train[:7], asked(600)]})


def test_an_overlap_of_more_than_one_in_a_hundred_is_a_warning(config):
    train = [asked(n) for n in range(300)]
    near = replace(train[1], question="So what is the name of number 1?", id="near")
    test = [train[0], near, *(asked(1000 + n) for n in range(98))]
    report = report_on(config, {"train": train, "test": [*test, train[2], train[3]]})
    overlap = report.overlap_with_train["test"]
    assert (overlap.asked.ids, overlap.answered.ids, overlap.near.ids) == (
        ["q0", "q2", "q3"], ["q0", "q2", "q3"], ["near"],
    )  # fmt: skip
    assert [line for line in report.warnings if "train too" in line] == [
        "test: 3 of 102 questions (2.9 %) are in train too, with the same right answer, so accuracy on them says "
        "little about new ones; data.clean=[overlap] leaves those of train out."
    ]
    assert not report_on(config, {"train": train, "test": test}).warnings


# --- the report ------------------------------------------------------------------------------------------------------


def test_every_finding_is_counted_with_the_first_ids(config):
    every = [asked(n) for n in range(40)]
    shown = [
        *every,
        replace(every[0], id="again"),
        replace(every[1], id="other", choices=every[1].choices[::-1], answer=2),
        replace(every[2], id="against", answer=0),
        replace(every[3], id="short", question="Why?"),
        replace(every[4], id="long", context="word " * 1000),
        replace(every[5], id="equal", choices=("a", "a", "b", "c"), answer=2),
    ]
    report = report_on(config, {"test": shown}).splits["test"]
    assert report.questions == 46 and report.chance == 0.25 and sum(report.positions) == 46
    assert [report.duplicates.ids, report.reordered.ids] == [["again"], ["other"]]
    assert [report.conflicts.ids, report.short.ids] == [["q2", "against"], ["short"]]
    assert [report.long.ids, report.repeated_choices.ids] == [["long"], ["equal"]]


def test_rules_that_never_read_the_question_are_measured_against_chance(config):
    def with_longest(number, longest):
        one = asked(number)
        texts = [text + " and more" * (place == longest) for place, text in enumerate(one.choices)]
        return replace(one, choices=tuple(texts))

    train = [with_longest(n, n % 4) for n in range(60)]
    dev = [with_longest(n, n % 4 if n % 2 else (n + 1) % 4) for n in range(100, 160)]
    report = report_on(config, {"train": train, "dev": dev})
    assert report.splits["train"].longest.share == 1 and report.splits["dev"].longest.share == 0.5
    assert report.choices_only.share == 0.5 and report.choices_only.low > report.choices_only.chance == 0.25
    assert (
        "dev: A small model of the choices alone, which never sees the question, is right in 50.0 % of dev (95 % "
        "interval 37.7 % to 62.3 %; chance 25.0 %). evaluation.choices_only=true measures what the language model does "
        "without it."
    ) in report.warnings
    assert "train: always choosing the longest option is right in 100.0 % (chance 25.0 %)." in report.warnings


def test_the_table_shows_every_split_and_the_warnings_with_their_keys(config):
    train = [asked(n) for n in range(40)]
    report = report_on(config, {"train": [*train, replace(train[0], id="x", answer=1)], "test": train[:10]})
    console = Console(width=100, record=True, quiet=False, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    console.print(table.shown(report))
    text = console.export_text()
    assert "data.clean=[conflicts] leaves them out" in text and "10 (100.0 %)" in text


@pytest.mark.parametrize(
    ("questions", "said"),
    [
        ([asked(n) for n in range(8)], "dev: 8 questions, and an accuracy on so few is known to ±28 points."),
        ([asked(n, cluster=str(n % 5)) for n in range(50)], "dev: 50 questions in 5 clusters or passages, and"),
        ([asked(n) for n in range(20)], None),
    ],
)
def test_few_questions_are_said_to_be_few_with_the_interval_that_they_have(questions, said):
    sentence = few_questions("dev", questions)
    assert sentence is None if said is None else sentence.startswith(said)


# --- real sets -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(REAL is None, reason="MCQA_TEST_DATA names no folder with the real sets")
@pytest.mark.parametrize(
    ("name", "of", "counts"),
    [
        ("mmlu", "test", {"duplicates": 105, "reordered": 1, "near_duplicates": 27, "repeated_choices": 9}),
        ("openbookqa", "train", {"duplicates": 5, "reordered": 36, "conflicts": 2, "repeated_choices": 3}),
        ("commonsenseqa", "train", {"duplicates": 0, "repeated_choices": 122}),
        ("arc_easy", "test", {"duplicates": 0, "near_duplicates": 5}),
        ("arc_challenge", "train", {"duplicates": 1, "conflicts": 0}),
    ],
)
def test_the_report_on_a_real_set_has_its_known_counts(name, of, counts, config):
    mine = group(name, path=str(Path(REAL) / name))
    if name == "commonsenseqa":  # whole, without the questions that are held out as dev
        mine = replace(mine, splits=replace(mine.splits, train="train", dev="validation"))
    names = {"mmlu": ("dev", "test"), "commonsenseqa": ("train", "dev")}.get(name, ("train", "dev", "test"))
    report = report_on(config, load(mine, names).splits)
    assert {key: getattr(report.splits[of], key).count for key in counts} == counts
    if name == "openbookqa":
        overlap = report.overlap_with_train["test"]
        assert (overlap.asked.count, overlap.answered.count, overlap.near.count) == (23, 15, 1)
        assert report.choices_only.low > 0.4, "far above chance, as its publishers found (Mihaylov et al. 2018)"
    if name == "mmlu":
        assert report.splits["test"].positions == [3222, 3462, 3582, 3776]
        assert report.splits["test"].position_p < 1e-9


# --- SciQ: the right answer has a column of its own ------------------------------------------------------------------

CHOICES = ["correct_answer", "distractor1", "distractor2", "distractor3"]


def sciq(small, folder, *overrides):
    """Overrides of a run on files of SciQ's format."""
    for split, start in (("train", 0), ("dev", 100), ("test", 200)):
        rows = []
        for n in range(start, start + 24):
            texts = [f"the {word} of {n}" for word in ("answer", "mistake", "error", "guess")]
            asked_of = {"question": f"What is meant by {n}?", "support": f"{n} means the answer of {n}."}
            rows.append(asked_of | dict(zip(CHOICES, texts, strict=True)))
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = [f"data.path={folder}", "data.columns.subject=null", "data.columns.id=null", "data.columns.context=support"]
    return [*small, *own, "prompt=letters", *overrides]


AS_LIST = (
    f"data.columns.choices=[{','.join(CHOICES)}]",
    "data.columns.answer=correct_answer",
    "data.columns.answer_as=text",
)
AS_PUBLISHED = (
    "data.columns.choices=null",
    "data.columns.answer=null",
    "data.columns.right=correct_answer",
    "data.columns.wrong=[distractor1,distractor2,distractor3]",
)


@pytest.mark.parametrize("shuffle", ["auto", "false"])
def test_a_list_that_begins_with_the_right_answer_is_refused_before_a_model_is_loaded(
    shuffle, small, tmp_path, monkeypatch
):
    monkeypatch.setattr(loading, "load_model", lambda *_: pytest.fail("a model is loaded"))
    with pytest.raises(DataError) as refused:
        trained(sciq(small, tmp_path, *AS_LIST, f"data.shuffle_choices={shuffle}"))
    splits = "dev, test" if shuffle == "auto" else "train, dev, test"
    assert str(refused.value).startswith(f"{splits}: the right answer is option A in all ")
    assert "Take data.shuffle_choices=true" in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [(*AS_LIST, "data.shuffle_choices=true"), AS_PUBLISHED], ids=["list", "right"])
def test_with_shuffled_options_it_is_measured_and_the_options_are_recorded_as_shown(columns, small, tmp_path):
    folder, result = trained(sciq(small, tmp_path, *columns))
    for name in ("base_test", "test"):
        rows = read(folder / "predictions" / f"{name}.jsonl")
        assert {row.question.answer for row in rows} == {0, 1, 2, 3}
        assert all(row.question.choices[row.question.answer].startswith("the answer") for row in rows)
    report = read_json(folder / "quality.json")
    assert max(report["splits"]["test"]["positions"]) < 16 and report["choices_only"]["share"] == 1
    assert result["warnings"] == report["warnings"] and "A small model of the choices alone" in result["warnings"][-1]
    assert read_json(folder / "environment.json")["removed_from_train"] == {}
    assert result["warnings"][-1] in (folder / "model" / "README.md").read_text("utf-8")
