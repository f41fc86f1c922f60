"""What mcqa.inspect prints is what a run takes: its keys read what was written, and nothing is guessed."""

import csv
import json
import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from mcqa import inspect
from mcqa.config.composition import compose, parse_overrides
from mcqa.config.errors import ConfigError, DataError
from mcqa.config.schema import DataConfig
from mcqa.config.validation import members
from mcqa.data import loading
from mcqa.data.inspection import inspection

HEADER = ["Frage", "A", "B", "C", "D", "Lösung", "Thema"]
CELLS = [[f"Was ist {n} größer?", *(f"{n}{c} é" for c in "wxyz"), "ABCD"[n % 4], "Maße"] for n in range(8)]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal in which no line is broken."""
    monkeypatch.setenv("COLUMNS", "250")


def shown(capsys, *arguments):
    """What the command prints."""
    inspect.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def printed_keys(text):
    """The keys of every command line in the output."""
    joined = text.replace(" \\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if re.match(r"  '?data=", line)]


def read_by(keys):
    """All questions of a file without splits, as a run reads them by these keys."""
    config_dict = compose("config", ["+experiment=smoke", "data.limit=null", "data.dev_fraction=1e-9", *keys])
    problems = []
    data = DataConfig(**members(DataConfig, config_dict["data"], "data.", problems))
    assert not problems
    return loading.load(data, ["train"]).splits["train"]


def table(path, rows, delimiter=";", encoding="cp1252"):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_a_table_from_a_spreadsheet_is_shown_as_questions_with_the_keys_that_read_it(tmp_path, capsys):
    path = table(tmp_path / "von Excel.csv", [HEADER, *CELLS])
    text = shown(capsys, path)
    assert "encoding cp1252" in text and "semicolon between cells" in text and ".csv, 8 rows" in text
    assert "'Was ist 0 größer?', 'Was ist 1 größer?'" in text, "two examples of each column"
    assert (
        "  B  1x é  ← right" in text and "Was ist 4 größer?" in text and "Was ist 5 größer?" not in text.split("┘")[1]
    )
    assert "These keys read all 8 rows, and no others that were tried do" in text
    (keys,) = printed_keys(text)
    assert keys == [
        "data=local",
        f'data.path="{path}"',
        "data.columns.question=Frage",
        "data.columns.choices=[A,B,C,D]",
        'data.columns.answer="Lösung"',
        "data.columns.answer_as=letter",
    ]
    questions = read_by(keys)
    assert [question.question for question in questions] == [cells[0] for cells in CELLS]
    assert [question.choices[question.answer] for question in questions] == [f"{n}{'wxyz'[n % 4]} é" for n in range(8)]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("messages", {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]}),
        ("sharegpt", {"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}]}),
        ("instructions", {"instruction": "Greet.", "input": "", "output": "Hello."}),
        ("pairs", {"prompt": "Hi.", "chosen": "Hello.", "rejected": "What?"}),
        (None, {"text": "Hello."}),
    ],
)
def test_conversations_are_proposed_by_the_option_that_reads_them(tmp_path, capsys, name, row):
    text = shown(capsys, lines(tmp_path / "talks.jsonl", [row, row]))
    assert printed_keys(text) == ([[f"data={name}", f"data.path={tmp_path / 'talks.jsonl'}"]] if name else [])
    assert ("No columns look like choices" in text) == (name is None)


def test_a_folder_without_a_test_split_is_proposed_as_a_run_can_use_it(tmp_path, capsys):
    for split, start in (("train", 0), ("valid", 60)):
        rows = [{"question": f"{n}?", "choices": [f"a{n}", f"b{n}"], "answer": n % 2} for n in range(start, start + 60)]
        lines(tmp_path / f"{split}.jsonl", rows)
    text = shown(capsys, tmp_path)
    assert "There is no test split: valid is taken for it, and dev is held out from train." in text
    assert printed_keys(text)[0][2:] == ["data.splits.dev=null", "data.splits.test=valid"]
    (tmp_path / "valid.jsonl").unlink()
    assert printed_keys(shown(capsys, tmp_path))[0] == ["data=local", f"data.path={tmp_path / 'train.jsonl'}"]


def test_a_folder_is_read_with_all_its_splits_and_their_names_are_keys(tmp_path, capsys):
    for split in ("train", "validation", "test"):
        rows = [{"question": f"{split} {n}?", "choices": [f"{split}{n}{c}" for c in "ab"], "answer": n} for n in (0, 1)]
        lines(tmp_path / f"{split}.jsonl", rows)
    text = shown(capsys, tmp_path)
    assert "3 files, .jsonl, 6 rows" in text
    assert printed_keys(text)[0] == ["data=local", f"data.path={tmp_path}", "data.splits.dev=validation"]


def test_numbers_that_count_from_zero_or_one_are_shown_both_ways_and_none_is_proposed(tmp_path, capsys):
    rows = [{"question": f"{n}?", "choices": [f"{n}{c}" for c in "abcd"], "answer": 1 + n % 3} for n in range(6)]
    text = shown(capsys, lines(tmp_path / "q.jsonl", rows))
    assert "All rows can be read in 2 ways" in text and "They differ in data.columns.answer_as." in text
    assert "No answer is 0" in text and "These keys read all" not in text
    assert "  B  0b  ← right" in text and "  A  0a  ← right" in text
    path = f"data.path={tmp_path}/q.jsonl"
    assert printed_keys(text)[:2] == [
        ["data=local", path, "data.columns.answer_as=index"],
        ["data=local", path, "data.columns.answer_as=index_from_one"],
    ]


def test_what_fails_is_said_of_the_nearest_columns_with_rows_and_places(tmp_path, capsys):
    cells = [[*row[:5], "E" if n in (2, 5) else row[5], row[6]] for n, row in enumerate(CELLS)]
    text = shown(capsys, table(tmp_path / "q.csv", [HEADER, *cells], ",", "utf-8"))
    assert "No columns read all rows. The nearest fail in 2 of 8:" in text
    assert f"{tmp_path}/q.csv:4: answer 'E' is not a letter from A to D." in " ".join(text.split())
    assert "data.bad_rows=skip" in text


def test_a_table_without_a_header_is_read_by_number_and_its_first_line_is_a_question(tmp_path, capsys):
    text = shown(capsys, table(tmp_path / "q.csv", [row[:6] for row in CELLS], ",", "utf-8"))
    keys = printed_keys(text)[0]
    assert keys[2:] == [
        "data.header=false",
        "data.columns.question=1",
        "data.columns.choices=[2,3,4,5]",
        "data.columns.answer=6",
        "data.columns.answer_as=letter",
    ]
    assert "Was ist 0 größer?" in text and len(read_by(keys)) == 8


def test_rows_of_a_published_set_name_it(tmp_path, capsys):
    choices = {"label": ["1", "2"], "text": ["Trout", "Whale"]}
    rows = [{"id": str(n), "question": f"{n}?", "choices": choices, "answerKey": "2"} for n in range(4)]
    text = " ".join(shown(capsys, lines(tmp_path / "q.jsonl", rows)).split())
    assert "All rows are in the format of arc_challenge, arc_easy" in text
    assert "data.columns.answer=answerKey data.columns.answer_as=label" in text
    assert "data.columns.id=id" in text


def test_what_is_no_question_set_says_what_would_be_one(tmp_path, capsys):
    text = shown(capsys, lines(tmp_path / "q.jsonl", [{"note": "a"}, {"note": "b"}]))
    assert "No columns look like choices" in text and "data=" not in text


def test_lists_that_a_table_holds_as_text_are_named(tmp_path, capsys):
    rows = [["question", "choices", "answer"], *([f"{n}?", "['a', 'b']", n % 2] for n in range(4))]
    text = shown(capsys, table(tmp_path / "q.csv", rows, ",", "utf-8"))
    assert """choices holds text ("['a', 'b']") and not a list. Give each choice a column""" in text


def test_answers_in_a_file_of_their_own_are_named_by_its_key(tmp_path, capsys):
    for split in ("train", "test"):
        rows = [{"goal": f"{split} {n}?", "sol1": f"{n} one way", "sol2": f"{n} another"} for n in range(4)]
        lines(tmp_path / f"{split}.jsonl", rows)
        (tmp_path / f"{split}-labels.lst").write_text("0\n1\n1\n0\n")
    assert "sol1, sol2 may be choices, and no column can be their answer" in shown(capsys, tmp_path)
    text = shown(capsys, tmp_path, "data.answers={split}-labels.lst")
    assert "These keys read all 8 rows" in text and "  B  1 another  ← right" in text
    assert 'data.answers="{split}-labels.lst"' in printed_keys(text)[0]


def test_damaged_rows_are_listed_and_nothing_is_certain(tmp_path, capsys):
    path = table(tmp_path / "q.csv", [HEADER, *CELLS, ["one", "two"]], ",", "utf-8")
    text = shown(capsys, path, "data.header=true")
    assert "1 row damaged and left out here:" in text and "q.csv:10: has 2 cells and not 7" in text.replace("\n", " ")
    assert "These keys read all other rows, but some rows are damaged" in text


ODD = st.text("ab ;,|\t\"'\né½[", min_size=1, max_size=6).map(lambda text: f"x{text}x")


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(ODD, st.lists(ODD, min_size=3, max_size=3, unique=True), st.integers(0, 2)), min_size=3, max_size=6
    ),
    st.sampled_from([";", ",", "\t", "json"]),
    st.sampled_from(["letter", "text"]),
)
def test_whatever_the_texts_are_what_is_proposed_for_a_file_reads_what_was_written_into_it(written, kind, answer_as):
    rows = [
        [question, *choices, "ABC"[answer] if answer_as == "letter" else choices[answer]]
        for question, choices, answer in written
    ]
    header = ["question", "A", "B", "C", "answer"]
    with TemporaryDirectory() as folder:
        if kind == "json":
            path = lines(Path(folder) / "q.jsonl", [dict(zip(header, row, strict=True)) for row in rows])
        else:
            path = table(Path(folder) / "q.csv", [header, *rows], kind, "utf-8")
        try:
            certain = inspection.inspect(inspection.find(path, inspection.FileOptions(), None)).certain
        except DataError as error:
            assert "data.delimiter=" in str(error) and kind != "json"  # which a person says then
            return
    assert certain is not None or kind != "json"
    if certain is not None:
        questions = certain[1].questions
        assert [(q.question, list(q.choices), q.answer) for q in questions] == written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one file or folder, got 0"),
        (["a.csv", "b.csv"], "name one file or folder, got 2"),
        (["a.csv", "data.headers=true"], "data.headers: unknown option"),
        (["a.csv", "data.header=maybe"], "data.header=maybe: must be true or false"),
    ],
)
def test_a_command_line_that_is_wrong_says_so(arguments, message):
    with pytest.raises(ConfigError, match=message):
        inspect.main(arguments)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        inspect.main([str(tmp_path / "q.csv")])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.csv", "", "has no rows"),
        ("q.csv", "question,A,B,answer\n", "has a first line and no other row"),
        ("q.json", '{"question": ', "q.json:1: is not JSON .*cut off"),
    ],
)
def test_a_file_without_a_row_that_can_be_read_is_an_error(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        inspect.main([str(tmp_path / name)])


@pytest.mark.parametrize(
    "value",
    [
        "A",
        "Correct Answer",
        "it's",
        "a\\",
        "back\\'slash",
        'say "a"',
        'back\\"',
        "yes",
        "no",
        "null",
        "1",
        "1.5",
        "a,b",
        "[x]",
        "Lösung",
        "a=b",
    ],
)
def test_names_of_columns_reach_a_run_as_they_are(value):
    _, (one, several) = parse_overrides([f"x={inspection.override(value)}", f"y={inspection.override([value, 'z'])}"])
    assert str(one.value()) == value
    assert [str(each) for each in several.value()] == [value, "z"]


def test_the_error_of_a_run_without_the_right_columns_names_the_command(tmp_path):
    path = table(tmp_path / "q.csv", [HEADER, *CELLS], ",", "utf-8")
    with pytest.raises(DataError, match=f"python -m mcqa.inspect {path} shows what it holds and which keys read it"):
        read_by(["data=local", f"data.path={path}"])


def test_the_terminal_needs_no_colour_to_show_the_right_answer(tmp_path):
    console = Console(width=200, record=True, color_system=None)
    source = inspection.find(table(tmp_path / "q.csv", [HEADER, *CELLS]), inspection.FileOptions(), None)
    inspect.show(console, inspection.inspect(source))
    assert "  D  3z é  ← right" in console.export_text()


def test_texts_without_choices_come_with_the_keys_that_train_on_them(tmp_path, capsys):
    path = tmp_path / "texts.jsonl"
    rows = [{"text": "One.", "more": ["Two.", "Three."]}, {"text": "Four.", "more": ["Five."]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = " ".join(shown(capsys, path).replace("\\\n", "").split())
    assert f"objective=pretrain peft=none data.texts={path}" in output
    assert "data.paraphrase_columns=more data.paraphrases=2" in output
