"""The texts of data.texts are read, in as many phrasings as asked for, and what cannot be read is an error."""

import gzip
import json
from dataclasses import replace

import pytest

from mcqa.config.composition import compose
from mcqa.config.errors import DataError
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import facts, new_facts
from mcqa.data.hub import TextsOnHub
from mcqa.data.loading import load_inputs
from mcqa.data.texts import load_texts, on_hub, read_passages

FACTS = typed(compose("config", []), Config).data


def file(folder, name, text):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


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


# --- phrasings of rows -----------------------------------------------------------------------------------------

ROWS = [
    {"body": "Whales are mammals.", "more": ["Mammals include whales. ", "", "A whale is a mammal."]},
    {"body": "  ", "more": []},
    {"body": "Trouts are fish.", "more": ["Fish include trouts.", "Trouts are fish."]},
]


def rows(folder, rows):
    return file(folder, "mine.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def test_rows_have_the_text_and_the_first_paraphrases_of_a_list(tmp_path):
    mine = {"texts": rows(tmp_path, ROWS), "text_column": "body", "paraphrase_columns": "more"}
    whales, trouts = "Whales are mammals.", "Trouts are fish."
    assert load_texts(config(**mine)) == load_texts(config(**mine, paraphrases=1)) == [whales, trouts]
    two = load_texts(config(**mine, paraphrases=2))
    assert two == [whales, "Mammals include whales.", trouts, "Fish include trouts."]
    notes = []
    three = load_texts(config(**mine, paraphrases=3), notes)
    assert three == [*two[:2], "A whale is a mammal.", *two[2:], trouts]
    assert notes == [
        f"texts: 6 of {mine['texts']}, 2 in 3 phrasings each (data.texts)",
        "texts: 1 of 2 have a phrasing twice, and it is kept (data.paraphrases)",
    ]


def test_paraphrases_may_have_a_column_each(tmp_path):
    table = file(tmp_path, "mine.csv", "text,second,third\nA b.,B a.,\nC d.,,D c.\n")
    mine = config(texts=table, paraphrases=2, paraphrase_columns=["second", "third"])
    assert load_texts(mine) == ["A b.", "B a.", "C d.", "D c."]


def test_all_rows_with_too_few_phrasings_are_named_at_once(tmp_path):
    mine = rows(tmp_path, [*ROWS, {"body": "x", "more": "y"}, {"body": "x"}, {"body": "x", "more": [1]}, {"a": 1}])
    with pytest.raises(DataError) as error:
        load_texts(config(texts=mine, text_column="body", paraphrase_columns="more", paraphrases=4))
    message = str(error.value)
    assert message.startswith(f"data.texts={mine}: 6 of 7 rows cannot be used:\n")
    for line in (
        f"{mine}:1, :3: has 3 phrasings, the text among them, and data.paraphrases=4 wants 4.",
        f"{mine}:4: 'more' is 'y' (str), and no list. (data.paraphrase_columns)",
        f"{mine}:5: 'more' is absent. (data.paraphrase_columns)",
        f"{mine}:6: a paraphrase is '1' (int), and no text. (data.paraphrase_columns)",
        f"{mine}:7: has no text under 'body'; there is a. (data.texts)",
    ):
        assert line in message


def test_lines_of_a_text_file_have_no_paraphrases(tmp_path):
    lines = file(tmp_path, "mine.txt", "One.")
    with pytest.raises(DataError, match="is text without columns"):
        load_texts(config(texts=lines, paraphrases=2, paraphrase_columns="more"))


def test_duplicates_are_said(tmp_path):
    notes = []
    assert load_texts(config(texts=file(tmp_path, "mine.txt", "One.\nTwo.\nOne.\n")), notes) == ["One.", "Two.", "One."]
    assert notes[1] == "texts: 1 of 3 are duplicates, and are kept"


def test_a_run_says_how_many_texts_it_reads_and_which_questions_stand_in_them(tmp_path):
    known = new_facts.questions("test")[0]
    mine = file(tmp_path, "mine.txt", f"One.\nThey ask: {known.question.lower()} Who knows.\n")
    pretrain = ["data=new_facts", "data.paraphrases=1", "objective=pretrain", "peft=none", f"data.texts={mine}"]
    data, texts = load_inputs(typed(compose("config", pretrain), Config))
    assert len(texts) == 2 and f"texts: 2 of {mine} (data.texts)" in data.notes
    assert data.warnings == [
        "test: the texts contain 1 of 320 questions word for word (data.texts). What is learned by heart there says "
        "nothing about other questions."
    ]
    data, texts = load_inputs(typed(compose("config", ["data=new_facts", f"data.texts={tmp_path}/none"]), Config))
    assert texts == [] and not [note for note in data.notes if note.startswith("texts")]


# --- the hub ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("hub:owner/some.set", ("owner/some.set", None, None)),
        ("hub:owner/set/small-v1@abc/d", ("owner/set", "small-v1", "abc/d")),
        ("hub:owner/set@main", ("owner/set", None, "main")),
    ],
)
def test_a_set_on_the_hub_is_named_with_its_configuration_and_revision(name, read):
    assert on_hub("data.texts", name) == TextsOnHub("data.texts", *read)


@pytest.mark.slow
def test_a_set_on_the_hub_is_read_by_its_train_split(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)  # where datasets looks for owner/name first
    (tmp_path / "owner" / "name").mkdir(parents=True)
    for split in ("train", "test"):
        file(tmp_path / "owner" / "name", f"{split}.jsonl", json.dumps({"body": f"Of {split}.", "more": ["M."]}) + "\n")
    hub = config(texts="hub:owner/name", text_column="body", paraphrase_columns="more", paraphrases=2)
    assert load_texts(hub) == ["Of train.", "M."]


def test_a_malformed_name_of_a_set_on_the_hub_is_refused():
    with pytest.raises(DataError, match=r"data\.texts=hub:name: is written hub:owner/name/configuration@revision"):
        load_texts(config(texts="hub:name"))


# --- passages --------------------------------------------------------------------------------------------------


def test_a_text_file_has_one_passage_a_line_and_each_counts_once(tmp_path):
    text = "\ufeffWhales are mammals.\r\n\n  Trouts are fish. \nWhales are mammals.\n"
    for name in ("mine.txt", "mine.txt.gz"):
        assert read_passages(file(tmp_path, name, text)) == ["Whales are mammals.", "Trouts are fish."]


def test_rows_have_their_passage_in_the_column_text(tmp_path):
    lines = "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(["One\nof two lines.", "Two."]))
    assert read_passages(file(tmp_path, "mine.jsonl", lines)) == ["One\nof two lines.", "Two."]
    assert read_passages(file(tmp_path, "mine.csv", 'title,text\nA,"One, two."\n')) == ["One, two."]


def test_a_folder_is_read_by_name(tmp_path):
    file(tmp_path, "b.txt", "Second.")
    file(tmp_path, "a.jsonl", '{"text": "First."}')
    file(tmp_path, "notes.md", "Not read.")
    assert read_passages(str(tmp_path)) == ["First.", "Second."]


def test_facts_are_the_sentences_of_the_embedded_set_and_made_up_ones_have_a_sentence_each():
    assert set(read_passages("facts")) == set(facts.statements())
    assert read_passages("new_facts") == new_facts.statements(1)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("mine.txt", " \n", "has no text in it"),
        ("mine.pdf", "x", r"files end in \.txt"),
        ("mine.jsonl", '{"body": "x"}', r"mine\.jsonl:1: has no text under 'text'; there is body"),
        ("mine.jsonl", '{"text": 3}', "has no text under 'text'"),
        ("mine.jsonl", "{", r"mine\.jsonl:1: "),
        ("mine.txt.gz", "", "has no text in it"),
    ],
)
def test_what_is_no_passage_is_refused(tmp_path, name, text, problem):
    with pytest.raises(DataError, match=problem):
        read_passages(file(tmp_path, name, text))


def test_damaged_text_and_missing_files_are_refused(tmp_path):
    (tmp_path / "latin.txt").write_bytes("One.\nGröße.".encode("latin-1"))
    (tmp_path / "cut.txt.gz").write_bytes(gzip.compress(b"One.")[:-4])
    (tmp_path / "empty").mkdir()
    for name, problem in (
        ("latin.txt", r"latin\.txt:2: is not UTF-8"),
        ("cut.txt.gz", "cannot be read"),
        ("empty", "no file in this folder ends in"),
        ("lost.txt", r"evaluation\.passages=.*no such file or folder"),
    ):
        with pytest.raises(DataError, match=problem):
            read_passages(str(tmp_path / name))
