"""One published split: no bad row unseen, and the same questions from files and from the hub."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mcqa.config.schema import Splits
from mcqa.data import published
from mcqa.data.loading import load
from tests.data.arc_folders import config, error_of, folder, row
from tests.local_columns import own_columns

# --- bad rows --------------------------------------------------------------------------------------------------

WITHOUT_ANSWER = {"answerKey": ""}


def test_a_bad_row_is_an_error_that_says_where_what_and_what_else(tmp_path):
    folder(tmp_path, train=[row(0), row(1, answerKey="D"), *range(2, 9)])
    assert error_of(config(tmp_path)) == (
        f"{tmp_path}[train]: 1 of 9 rows cannot be used:\n"
        f"  {tmp_path}/train.jsonl:2: answer 'D' is not among the labels ['A', 'B', 'C'].\n"
        "data.bad_rows=skip leaves them out and counts them."
    )


def test_equal_choices_and_outer_white_space_are_counted_and_the_policy_decides_which_rows_are_bad(tmp_path):
    def with_texts(n, *texts):
        return row(n, choices={"label": ["A", "B", "C"], "text": texts})

    equal = [with_texts(1, "a", "b", "b"), with_texts(2, "a", "a", "b")]
    folder(tmp_path, train=[row(0), *equal, row(3, question=" 3? ")])
    kept = load(config(tmp_path, equal_choices="keep"), ["train"])
    assert len(kept.splits["train"]) == 4 and kept.notes == [
        "train: 2 of 4 questions have equal choices, and are kept (data.equal_choices)",
        "train: 1 of 4 questions have white space around their texts, which is kept",
    ]
    assert kept.splits["train"][3].question == " 3? "
    wrong = load(config(tmp_path, bad_rows="skip"), ["train"])
    assert len(wrong.splits["train"]) == 3 and len(wrong.bad_rows) == 1
    assert "2 of 4 rows cannot be used" in error_of(config(tmp_path, equal_choices="refuse"))


def test_ten_bad_rows_are_listed_and_all_are_counted(tmp_path):
    folder(tmp_path, train=[row(0), *(row(n, answerKey=f"D{n}") for n in range(1, 31))])
    lines = error_of(config(tmp_path)).splitlines()
    assert lines[0].endswith("30 of 31 rows cannot be used:")
    assert [line.split(":")[1] for line in lines[1:11]] == [f"{n}" for n in range(2, 12)]
    assert lines[11] == "  and 20 more."


def test_what_is_wrong_with_many_rows_is_said_once_with_the_first_places(tmp_path):
    folder(tmp_path, train=[row(0), row(1, answerKey="D"), *(row(n, question="") for n in range(2, 31))])
    assert error_of(config(tmp_path)) == (
        f"{tmp_path}[train]: 30 of 31 rows cannot be used:\n"
        f"  {tmp_path}/train.jsonl:3, :4, :5 and 26 more rows: question is empty.\n"
        f"  {tmp_path}/train.jsonl:2: answer 'D' is not among the labels ['A', 'B', 'C'].\n"
        "data.bad_rows=skip leaves them out and counts them."
    )
    skipped = load(config(tmp_path, bad_rows="skip"), ["train"]).bad_rows
    assert skipped[1:] == [f"{tmp_path}/train.jsonl:{n}: question is empty." for n in range(3, 32)]


def test_a_header_without_any_column_of_a_question_may_be_a_row(tmp_path):
    mine = {"reader": "local", "splits": Splits("train", None, "test")}
    columns = own_columns("question", ["A", "B"], "answer", "letter")
    (tmp_path / "mine.csv").write_text("".join(f"What is {n}?,{n},{n + 1},A\n" for n in range(60)))
    message = error_of(config(tmp_path / "mine.csv", columns=columns, **mine))
    assert "mine.csv:2, :3, :4 and 56 more rows: there is no 'answer'" in message
    assert "If it is a row and no header, take data.header=false and columns by number" in message
    by_number = own_columns(1, [2, 3], 4, "letter")
    data = load(config(tmp_path / "mine.csv", columns=by_number, header=False, **mine))
    assert sum(map(len, data.splits.values())) == 60 and data.splits["train"][0].choices[1].isdigit()
    (tmp_path / "mine.csv").write_text("question,A,B,key\nWhat is 1?,1,2,A\n")
    assert "no header" not in error_of(config(tmp_path / "mine.csv", columns=columns, **mine))


def test_the_csv_of_a_german_excel_is_told_with_its_form(tmp_path):
    lines = [f"Größe von {n}?;{n};{n + 1};A\r\n" for n in range(60)]
    (tmp_path / "fragen.csv").write_bytes("".join(["Frage;A;B;Lösung\r\n", *lines]).encode("cp1252"))
    columns = own_columns("Frage", ["A", "B"], "Lösung", "letter")
    mine = config(tmp_path / "fragen.csv", reader="local", splits=Splits("train", None, "test"), columns=columns)
    data = load(mine)
    assert sum(map(len, data.splits.values())) == 60 and "Größe von" in data.splits["train"][0].question
    assert data.notes[0] == (
        "fragen.csv read with the encoding cp1252 (data.encoding) and a semicolon between cells (data.delimiter)"
    )
    assert load(replace(mine, encoding="cp1252", delimiter=";")).notes == data.notes[1:]


def test_a_file_with_very_many_bad_rows_is_read_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "ENOUGH_BAD", 20)
    folder(tmp_path, train=[row(0), *(row(n, question="") for n in range(1, 31)), *range(31, 40)])
    lines = error_of(config(tmp_path)).splitlines()
    assert lines[0].endswith("20 of the first 21 rows cannot be used:") and "and 17 more rows: question" in lines[1]
    assert len(load(config(tmp_path, bad_rows="skip"), ["train"]).splits["train"]) == 10, "those who skip get all"


def test_skipped_rows_are_left_out_listed_and_counted(tmp_path):
    folder(tmp_path, train=[row(0), row(1, answerKey="D"), row(2, question=""), row(3)])
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write('{"id": "q4", "que')
    data = load(config(tmp_path, bad_rows="skip"))
    assert [q.id for q in data.splits["train"]] == ["q0", "q3"]
    assert [line.split(": ")[0] for line in data.bad_rows] == [f"{tmp_path}/train.jsonl:{n}" for n in (2, 3, 5)]
    assert data.bad_rows[2].endswith("Is the file cut off?")
    assert data.notes == ["train: 3 of 5 rows skipped as bad"]


def test_skipped_rows_are_counted_once_though_two_splits_are_cut_from_them(tmp_path):
    folder(tmp_path, train=[*range(100), row(100, question="")])
    data = load(config(tmp_path, bad_rows="skip", splits=Splits("train", None, "test")))
    assert len(data.bad_rows) == 1 and data.notes[0] == "train: 1 of 101 rows skipped as bad"


@pytest.mark.parametrize("bad_rows", ["error", "skip"])
def test_a_split_without_any_answer_is_taken_for_one_with_unpublished_answers(tmp_path, bad_rows):
    folder(tmp_path, test=[row(n, **WITHOUT_ANSWER) for n in range(120, 150)])
    message = error_of(config(tmp_path, bad_rows=bad_rows))
    assert message.endswith("Is this the test split without public answers?")
    assert "skip" not in message, "it would leave nothing"


def test_one_missing_answer_is_not_taken_for_an_unpublished_split(tmp_path):
    folder(tmp_path, test=[row(120), row(121, **WITHOUT_ANSWER), row(122, question="")])
    assert "without public answers" not in error_of(config(tmp_path))


def numbered(path, numbers):
    lines = [f"What is {n}?,{n},x,y,z,{number}\n" for n, number in enumerate(numbers)]
    path.write_text("".join(["q,A,B,C,D,key\n", *lines]))
    return path.parent


@pytest.mark.parametrize(
    ("answer_as", "first", "told"),
    [("index", 1, "the first choice; do the answers count from one"), ("index_from_one", 0, "the last choice; do")],
)
def test_answers_that_count_from_elsewhere_are_an_error_also_where_bad_rows_are_skipped(
    tmp_path, answer_as, first, told
):
    columns = own_columns("q", list("ABCD"), "key", answer_as)
    mine = config(tmp_path, reader="local", columns=columns, bad_rows="skip")
    numbered(tmp_path / "test.csv", [first + n % 4 for n in range(80)])
    message = error_of(mine, ["test"])
    assert "20 of 80 rows" in message and f"In the other rows no right answer is {told}" in message
    assert "skip leaves them out" not in message
    numbered(tmp_path / "test.csv", [1 + n % 3 for n in range(80)])
    assert load(mine, ["test"]).notes[0].startswith(f"test: no right answer is {told}")
    numbered(tmp_path / "test.csv", [1 + n % 3 for n in range(30)])
    assert load(mine, ["test"]).notes == [], "which may be chance"


def test_many_repetitions_of_a_question_are_numbered_at_once(tmp_path):
    data = load(config(folder(tmp_path, test=[row(1)] * 5000)), ["test"])
    assert [q.id for q in data.splits["test"]][-1] == "q1#5000"


def test_an_id_that_names_two_questions_is_a_bad_row(tmp_path):
    folder(tmp_path, train=[row(0), row(1), row(2, id="q0")])
    assert f"train.jsonl:3: id 'q0' is that of another question, at {tmp_path}/train.jsonl:1." in (
        error_of(config(tmp_path))
    )


def test_a_duplicate_row_is_kept_counted_and_given_its_own_id(tmp_path):
    data = load(config(folder(tmp_path, train=[row(0), row(1), row(0), row(0), row(3, id="q0#2")])))
    assert [q.id for q in data.splits["train"]] == ["q0", "q1", "q0#3", "q0#4", "q0#2"]
    assert data.notes == ["train: 2 of 5 questions are duplicates, and are kept"]


def test_without_ids_a_question_is_named_by_its_content_wherever_it_is(tmp_path):
    forwards = [row(n, id=None) for n in range(9)]
    ids = [
        {q.question: q.id for q in load(config(folder(tmp_path, train=rows))).splits["train"]}
        for rows in (forwards, forwards[::-1])
    ]
    assert ids[0] == ids[1] and len(set(ids[0].values())) == 9


# --- the hub ---------------------------------------------------------------------------------------------------


def test_a_set_from_the_hub_is_the_same_as_from_files(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    files = folder(tmp_path / "set", test=[*range(3), row(3, answerKey="D")])
    local = config(files, bad_rows="skip")
    hub = replace(local, path=None, hub=str(files))
    assert load(hub).splits == load(local).splits
    assert load(hub).bad_rows == [f"{files}[test] row 3: answer 'D' is not among the labels ['A', 'B', 'C']."]
    wrong = replace(hub, splits=Splits("trian", None, None))
    assert error_of(wrong, ("train",)) == (
        f"{files}[trian]: Unknown split \"trian\". Should be one of ['train', 'validation', 'test']. "
        "See data.hub_config, data.splits and data.revision."
    )


def test_a_shard_that_is_missing_from_the_cache_is_named(tmp_path, monkeypatch):
    import datasets

    cache = tmp_path / "401" / "cache"  # a number that is no status of HTTP
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    hub = config(hub=str(folder(tmp_path / "set", test=range(3))))
    load(hub, ["test"])
    (lost,) = cache.rglob("*-test*.arrow")
    lost.unlink()
    message = error_of(hub, ["test"])
    assert lost.name in message and "A part of it is missing. Delete its folder in " in message


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ConnectionError("Couldn't reach 'a/b' on the Hub (OfflineModeIsEnabled)"), "hf download a/b --repo-type"),
        (FileNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed."), "Is data.hub spelt"),
        (FileNotFoundError("Dataset 'a/b' is a gated dataset on the Hub.\nVisit"), "Accept its terms at https://"),
        (ValueError("BuilderConfig 'x' not found. Available: ['y']"), "See data.hub_config"),
        (ValueError("Couldn't find cache for a/b for config 'x'"), "`python -m mcqa.prefetch` with the same arguments"),
        (RuntimeError(""), "`python -m mcqa.prefetch` with the same arguments"),
    ],
)
def test_what_goes_wrong_with_the_hub_comes_with_advice(monkeypatch, error, advice):
    def load_dataset(*args, **kwargs):
        raise error

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    message = error_of(config(hub="a/b"))
    assert message.startswith("a/b[train]: ") and advice in message and "\n" not in message


def test_the_hub_is_asked_for_the_revision_and_never_when_there_is_a_path(tmp_path, monkeypatch):
    asked = []

    def load_dataset(hub, name, **kwargs):
        asked.append((hub, name, kwargs))
        return [row(1)]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    load(config(folder(tmp_path), hub="a/b"))
    assert asked == []
    load(config(hub="a/b", hub_config="c", revision="v1"), ("test",))
    assert asked == [("a/b", "c", {"split": "test", "revision": "v1"})]
