"""From a DataConfig to splits and further sets."""

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from mcqa.config.composition import ROOT
from mcqa.config.errors import DataError
from mcqa.config.schema import DataConfig, SetConfig, Splits
from mcqa.config.validation import members
from mcqa.data import checks
from mcqa.data.loading import load, load_run_data
from mcqa.data.question import Question, fingerprint
from mcqa.data.readers import READERS
from mcqa.data.readers.conversations import CONVERSATIONS
from mcqa.data.splits import subsample
from tests.data.arc_folders import config, error_of, evaluation_of, folder, further, row, write
from tests.local_columns import own_columns

REAL = os.environ.get("MCQA_TEST_DATA")
needs_real_sets = pytest.mark.skipif(REAL is None, reason="MCQA_TEST_DATA names no folder with the real sets")

# --- splits ----------------------------------------------------------------------------------------------------


def test_a_folder_gives_our_splits_under_the_publishers_names(tmp_path):
    data = load(config(folder(tmp_path)))
    assert {split: len(questions) for split, questions in data.splits.items()} == (
        {"train": 100, "dev": 20, "test": 30}
    )
    assert data.splits["train"][3] == Question("q3", "What is 3?", ("3", "3 and one", "none"), 0)
    assert (data.bad_rows, data.notes) == ([], [])


def test_files_of_other_splits_are_not_read(tmp_path):
    write(tmp_path / "test.jsonl", [row(1)])
    assert list(load(config(tmp_path), ("test",)).splits) == ["test"]


def test_dev_is_held_out_from_train_where_the_publisher_has_none(tmp_path):
    cut = config(folder(tmp_path), splits=Splits("train", None, "test"))
    data = load(cut)
    train, dev = data.splits["train"], data.splits["dev"]
    assert sorted(q.id for q in train + dev) == sorted(f"q{n}" for n in range(100))
    assert 1 <= len(dev) <= 25 and f"dev: {len(dev)} questions held out from train" in data.notes
    assert load(cut, ("train",)).splits["train"] == train, "train is the same whether or not dev is loaded"


def test_a_single_file_without_a_train_split_is_not_cut(tmp_path):
    mine = config(write(tmp_path / "mine.jsonl", map(row, range(50))), splits=Splits(None, None, "test"))
    data = load(mine, ("test",))
    assert [q.id for q in data.splits["test"]] == [f"q{n}" for n in range(50)]
    assert data.notes == ["test: 50 questions, all of mine.jsonl"]
    assert "data.splits.train is null" in error_of(mine, ("train",))


def test_a_single_file_is_split_into_all_three_splits_with_a_note(tmp_path):
    data = load(config(write(tmp_path / "all.jsonl", map(row, range(1000)))))
    sizes = {split: len(questions) for split, questions in data.splits.items()}
    assert sum(sizes.values()) == 1000
    assert 750 <= sizes["train"] <= 850 and 70 <= sizes["dev"] <= 130 and 70 <= sizes["test"] <= 130
    assert data.notes[0] == f"train: {sizes['train']} of 1000 questions in all.jsonl, a file without splits"
    assert len(data.notes) == 3


def test_a_split_that_is_null_cannot_be_loaded(tmp_path):
    without = config(folder(tmp_path), splits=Splits("train", "validation", None))
    assert error_of(without) == "data.splits.test is null: mine has no such split."
    assert list(load(without, ("train", "dev")).splits) == ["train", "dev"]


def test_an_empty_split_is_an_error_and_no_split(tmp_path):
    assert error_of(config(folder(tmp_path, test=[]))) == f"{tmp_path}[test]: has no rows."
    alone = config(write(tmp_path / "one.jsonl", [row(1)]))
    assert "no question is left after splitting; see data.dev_fraction" in error_of(alone)


LOCAL = {"reader": "local", "columns": own_columns("question", "choices", "answer", context="passage")}


def about(passage, n):
    return {"question": f"What is {n}?", "choices": [f"{n}", "none"], "answer": 0, "passage": f"Passage {passage}."}


@pytest.mark.parametrize("single_file", [True, False])
def test_no_passage_is_on_both_sides_of_a_cut(tmp_path, single_file):
    """Ten questions about each of 28 passages."""
    rows = [about(n % 28, n) for n in range(280)]
    if single_file:
        mine = config(write(tmp_path / "mine.jsonl", rows), **LOCAL)
    else:
        mine = config(folder(tmp_path, train=rows), **LOCAL, splits=Splits("train", None, None))
    cut = ("train", "dev", "test") if single_file else ("train", "dev")
    data = load(mine, cut)
    passages = [{question.context for question in data.splits[split]} for split in cut]
    assert sum(map(len, passages)) == len(set.union(*passages)) == 28
    assert any("; 28 clusters or passages stay whole (data.split_by)" in note for note in data.notes)
    apart = load(replace(mine, split_by="question"), cut)
    known = {question.context for question in apart.splits["train"]}
    assert all(question.context in known for question in apart.splits["dev"]), "as before: every one leaks"
    n = len(apart.splits["dev"])
    assert any(
        note.startswith(f"dev: {n} of {n} questions have a passage or cluster that train") for note in apart.notes
    )


def test_one_passage_cannot_be_cut_and_the_error_says_so(tmp_path):
    mine = config(write(tmp_path / "mine.jsonl", [about(0, n) for n in range(50)]), **LOCAL)
    assert "; one cluster or passage stays whole (data.split_by)" in error_of(mine)


def test_passages_that_a_publishers_splits_share_are_warned_of(tmp_path):
    train, test = [about(n, n) for n in range(6)], [about(n, 100 + n) for n in range(4, 8)]
    mine = config(folder(tmp_path, train=train, validation=[about(50, 50)], test=test), **LOCAL)
    assert load(mine).notes == [
        "test: 2 of 4 questions have a passage or cluster that train has too; accuracy on them says little about other "
        "passages"
    ]


def test_limit_keeps_training_questions_only(tmp_path):
    data = load(config(folder(tmp_path), limit=7))
    assert [len(questions) for questions in data.splits.values()] == [7, 20, 30]
    assert data.notes == ["train: 7 of 100 questions sampled (data.limit)"]
    assert load(config(folder(tmp_path), limit=700)).splits["train"] == load(config(tmp_path)).splits["train"]


def test_questions_that_occur_in_two_splits_are_counted(tmp_path):
    again = row(5, id="other", question="what  IS 5?")
    notes = load(config(folder(tmp_path, test=[again, *range(120, 150)]))).notes
    assert notes == ["test: 1 of 31 questions also occur in train (choices may differ)"]


def test_another_format_of_the_same_split_is_not_read_and_noted(tmp_path):
    folder(tmp_path)
    (tmp_path / "test.csv").write_text("not, read")
    assert load(config(tmp_path)).notes == ["test: read from test.jsonl, and not from test.csv beside it"]


def test_publishers_mmlu_files_get_their_subjects_from_their_names(tmp_path):
    for subject in ("anatomy", "botany"):
        for split in ("dev", "val"):
            path = tmp_path / split / f"{subject}_{split}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f'"Which, of {subject}?",None,NA,nan,1,B\n"In {split}?",a,b,c,d,D\n')
    splits = Splits("dev", "val", None)
    dev = load(config(tmp_path, reader="mmlu", splits=splits), ("dev",)).splits["dev"]
    assert [(q.subject, q.choices[q.answer]) for q in dev] == (
        [("anatomy", "NA"), ("anatomy", "d"), ("botany", "NA"), ("botany", "d")]
    )
    assert dev[0].choices == ("None", "NA", "nan", "1"), "words that tables often take for a missing value"


def test_a_csv_file_is_read_by_its_columns(tmp_path):
    columns = own_columns("q", ["a", "b"], "key", "letter")
    (tmp_path / "test.csv").write_text("q,a,b,key\nBigger?,1,2,B\n")
    (found,) = load(config(tmp_path, reader="local", columns=columns), ("test",)).splits["test"]
    assert (found.question, found.choices, found.answer, len(found.id)) == ("Bigger?", ("1", "2"), 1, 16)


def test_letters_before_all_choices_are_noted_and_answers_may_be_in_a_file_of_their_own(tmp_path):
    write(tmp_path / "test.jsonl", [{"q": f"{n}?", "options": [f"A){n}", f"B){n + 1}"]} for n in range(3)])
    (tmp_path / "test-labels.lst").write_text("1\n0\n1\n")
    columns = own_columns("q", "options", "key")
    data = load(config(tmp_path, reader="local", columns=columns, answers="{split}-labels.lst"), ("test",))
    assert [question.answer for question in data.splits["test"]] == [1, 0, 1]
    (note,) = data.notes
    assert "every choice begins with its letter or number, as in 'A)0', which is kept (data.columns.strip_la" in note


def test_an_optional_column_that_no_row_has_is_an_error_with_the_nearest(tmp_path):
    write(tmp_path / "test.jsonl", [{"q": f"{n}?", "options": ["a", "b"], "key": 1, "passage": "p"} for n in range(3)])
    columns = own_columns("q", "options", "key", context="pasage")
    message = error_of(config(tmp_path, reader="local", columns=columns), ["test"])
    assert message == (
        "data.columns.context=pasage: no row has it; there is no 'pasage'; the row has q, options, key, passage. "
        "Did you mean 'passage'?"
    )


def test_the_embedded_facts_need_no_path_and_no_hub(monkeypatch):
    import mcqa.data

    embedded = [Question(f"f{n}", f"{n}?", ("a", "b"), 0) for n in range(9)]
    fake = SimpleNamespace(questions=lambda split: embedded if split == "train" else embedded[:2])
    monkeypatch.setattr(mcqa.data, "facts", fake, raising=False)
    facts = config(reader="facts", splits=Splits("train", "dev", "test"))
    assert load(facts, ("train", "dev")).splits == {"train": embedded, "dev": embedded[:2]}
    wrong = replace(facts, splits=Splits("validation", "dev", "test"))
    assert error_of(wrong) == "data.splits: data=facts has train, dev and test, not 'validation'."


# --- further sets --------------------------------------------------------------------------------------------


def test_without_further_sets_the_splits_are_those_of_the_data(tmp_path):
    own = config(folder(tmp_path))
    assert load_run_data(own, evaluation_of()) == load(own)


def test_further_sets_come_last_under_their_own_names(tmp_path):
    own, theirs = folder(tmp_path / "own"), folder(tmp_path / "theirs", validation=range(200, 205), test=[300])
    sets = [further(theirs, "b", "dev"), further(theirs, "a", "test")]
    data = load_run_data(config(own), evaluation_of(sets=sets))
    assert list(data.splits) == ["train", "dev", "test", "b", "a"]
    assert [q.id for q in data.splits["b"]] == [f"q{n}" for n in range(200, 205)]
    assert [q.id for q in data.splits["a"]] == ["q300"]
    assert data.notes == ["b: dev of theirs (CC0)", "a: test of theirs (CC0)"]


def test_dev_comes_from_another_set_and_the_own_one_is_not_read(tmp_path):
    own, theirs = folder(tmp_path / "own"), folder(tmp_path / "theirs", validation=range(200, 205))
    (own / "validation.jsonl").unlink()
    data = load_run_data(config(own), evaluation_of(dev=further(theirs, split="dev")))
    assert list(data.splits) == ["train", "dev", "test"]
    assert [q.id for q in data.splits["dev"]] == [f"q{n}" for n in range(200, 205)]
    assert data.notes == ["dev: dev of theirs (CC0)"]


def test_another_dev_leaves_train_as_it_is_though_its_own_dev_would_be_held_out_from_it(tmp_path):
    cut = config(folder(tmp_path / "own"), splits=Splits("train", None, "test"))
    steered = load_run_data(cut, evaluation_of(dev=further(folder(tmp_path / "theirs"), split="test")))
    assert steered.splits["train"] == load(cut).splits["train"]
    assert len(steered.splits["dev"]) == 30


def test_another_dev_is_read_only_where_dev_is_loaded(tmp_path):
    data = load_run_data(config(folder(tmp_path)), evaluation_of(dev=further("/no/such/folder")), ("test",))
    assert list(data.splits) == ["test"]


def test_sets_alone_can_be_loaded(tmp_path):
    data = load_run_data(config("/no/such/folder"), evaluation_of(sets=[further(folder(tmp_path))]), ())
    assert list(data.splits) == ["other"]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_further_set_of_a_single_file_is_all_of_it_and_not_a_part(tmp_path, split):
    own, theirs = folder(tmp_path / "own"), write(tmp_path / "theirs.jsonl", map(row, range(200, 240)))
    data = load_run_data(config(own), evaluation_of(sets=[further(theirs, split=split)]))
    assert len(data.splits["other"]) == 40
    assert f"other: {split}: 40 questions, all of theirs.jsonl" in data.notes


def test_a_further_set_of_the_file_that_is_trained_on_is_cut_as_that_is(tmp_path):
    mine = write(tmp_path / "mine.jsonl", map(row, range(400)))
    data = load_run_data(config(mine), evaluation_of(sets=[further(mine, split="dev")]))
    assert data.splits["other"] == data.splits["dev"] and len(data.splits["dev"]) < 100


def test_questions_of_a_further_set_that_occur_in_train_are_counted(tmp_path):
    theirs = folder(tmp_path / "theirs", test=[row(5, id="x"), 400, 401])
    own = config(folder(tmp_path / "own"))
    notes = load_run_data(own, evaluation_of(sets=[further(theirs)])).notes
    assert notes[-1] == "other: 1 of 3 questions also occur in train (choices may differ)"
    assert load_run_data(own, evaluation_of(sets=[further(theirs)]), ("test",)).notes == ["other: test of theirs (CC0)"]


def test_what_is_wrong_with_a_further_set_names_its_files_and_skipped_rows_name_the_set(tmp_path):
    theirs = folder(tmp_path / "theirs", test=[300, row(301, answerKey="D")])
    own = config(folder(tmp_path / "own"))
    with pytest.raises(DataError, match=r"theirs/test\.jsonl:2: answer 'D'"):
        load_run_data(own, evaluation_of(sets=[further(theirs)]))
    data = load_run_data(own, evaluation_of(sets=[further(theirs, bad_rows="skip")]))
    assert [line.split(" answer")[0] for line in data.bad_rows] == [f"other: {theirs}/test.jsonl:2:"]
    assert data.notes == ["other: test of theirs (CC0)", "other: test: 1 of 2 rows skipped as bad"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "/nowhere"}, "{where}.path=/nowhere: no such file or folder"),
        ({"splits": Splits("train", None, None)}, "{where}.splits.test is null: theirs has no such split."),
        ({"path": "empty.jsonl"}, "{where}: empty.jsonl: has no rows."),
    ],
)
def test_what_is_wrong_with_a_further_set_is_reported_by_its_own_keys(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(folder(tmp_path, train=[1]))
    (tmp_path / "empty.jsonl").touch()
    wrong = replace(further(tmp_path), data=config(**{"path": tmp_path, "name": "theirs"} | changes))
    for where, evaluation in (
        ("evaluation.dev", evaluation_of(dev=wrong)),
        ("evaluation.sets[1]", evaluation_of(sets=[further(tmp_path), wrong])),
    ):
        with pytest.raises(DataError) as error:
            load_run_data(config(tmp_path), evaluation)
        assert str(error.value).startswith(message.format(where=where))


def test_a_message_about_a_further_set_leaves_paths_as_they_are(tmp_path):
    theirs = folder(tmp_path / "data.path", test=[row(1, answerKey="D")])
    with pytest.raises(DataError) as error:
        load_run_data(
            config(folder(tmp_path / "own")), evaluation_of(sets=[further(theirs), further("/nowhere", name="b")])
        )
    first, *_, last = str(error.value).splitlines()
    assert first == f"evaluation.sets[0]: {theirs}[test]: 1 of 1 rows cannot be used:"
    assert f"{theirs}/test.jsonl:1" in str(error.value), last


def test_the_limit_of_a_further_set_is_its_own(tmp_path):
    limited = further(folder(tmp_path), split="train", limit=7)
    notes = load_run_data(config(tmp_path), evaluation_of(sets=[limited]), ()).notes
    assert notes[1] == "other: train: 7 of 100 questions sampled (evaluation.sets[0].limit)"


def test_a_first_look_reads_some_questions_of_each_test_and_says_so(tmp_path):
    sets = [further(folder(tmp_path)), further(tmp_path, name="all_of_dev", split="dev")]
    data, whole = (load_run_data(config(tmp_path), evaluation_of(sets=sets, test_limit=limit)) for limit in (7, None))
    sizes = {name: len(questions) for name, questions in data.splits.items()}
    assert sizes == {"train": 100, "dev": 20, "test": 7, "other": 7, "all_of_dev": 20}
    assert set(data.splits["test"]) <= set(whole.splits["test"])
    assert data.first_looks == {"test": (7, 30), "other": (7, 30)} and whole.first_looks == {}
    assert "test: a first look at 7 of 30 questions (evaluation.test_limit)" in data.notes


def test_a_limit_that_leaves_no_question_out_is_no_first_look(tmp_path):
    data = load_run_data(config(folder(tmp_path)), evaluation_of(test_limit=30))
    assert len(data.splits["test"]) == 30 and data.first_looks == {}


# --- the group files and the real sets -------------------------------------------------------------------------

GROUP = {path.stem: path for path in sorted((ROOT / "conf" / "data").glob("*.yaml"))}


def merged(name):
    """An option with what it builds on."""
    own = OmegaConf.load(GROUP[name])
    return OmegaConf.merge(*map(merged, own.pop("defaults", [])), own)


def group(name, **changes):
    problems = []
    values = OmegaConf.to_container(merged(name))
    values = members(DataConfig, values | changes, "data.", problems)
    assert not problems
    return DataConfig(**values)


@pytest.mark.parametrize("name", GROUP)
def test_every_group_file_is_complete_and_named_like_itself(name):
    data = group(name)
    assert data.name == name or name == "local"  # which is called as its file
    assert data.reader in {*READERS, *CONVERSATIONS, "local", "facts", "new_facts", "mix"}
    assert GROUP[name].read_text().startswith("# ")


# --- shuffled options, and what is left out of train ------------------------------------------------------------


SCIQ = own_columns("question", None, None, right="correct_answer", wrong=["distractor1", "distractor2", "distractor3"])


def sciq(n, **changes):
    texts = {"correct_answer": f"right {n}"} | {f"distractor{k}": f"wrong {n}.{k}" for k in (1, 2, 3)}
    return {"question": f"What is {n}?"} | texts | changes


def shown(config, **evaluation):
    return load_run_data(config, evaluation_of(**evaluation)).splits


def test_a_column_of_right_answers_is_shown_in_an_order_drawn_once_in_every_split(tmp_path):
    rows = {split: [sciq(n) for n in range(start, start + 40)] for split, start in (("train", 0), ("validation", 50))}
    own = config(folder(tmp_path, **rows, test=[sciq(n) for n in range(100, 140)]), reader="local", columns=SCIQ)
    published, drawn = load(own).splits, shown(own)
    for split, questions in published.items():
        assert all(question.answer == 0 for question in questions)
        assert {question.answer for question in drawn[split]} == {0, 1, 2, 3}
        assert [one.id for one in drawn[split]] == [one.id for one in questions], "ids are of the published order"
        assert all(one.choices[one.answer].startswith("right") for one in drawn[split])
    assert shown(own) == drawn != shown(replace(own, seed=1))
    assert shown(replace(own, shuffle_choices=False)) == published
    as_further = shown(own, sets=[SetConfig("further", "test", own)])["further"]
    assert as_further == drawn["test"] != published["test"]


def test_the_options_of_other_sets_stay_as_published_unless_shuffling_is_asked_for(tmp_path):
    own = config(folder(tmp_path))
    assert shown(own) == load(own).splits
    drawn = shown(replace(own, shuffle_choices=True))
    assert all({question.answer for question in questions} == {0, 1, 2} for questions in drawn.values())


def test_an_order_changes_neither_a_cut_nor_a_sample(tmp_path):
    own = config(folder(tmp_path), splits=Splits("train", None, "test"), limit=30)
    limited = evaluation_of(test_limit=7)
    plain, drawn = (load_run_data(replace(own, shuffle_choices=value), limited) for value in (False, True))
    assert {split: [q.id for q in questions] for split, questions in plain.splits.items()} == (
        {split: [q.id for q in questions] for split, questions in drawn.splits.items()}
    )
    steering = [[q.id for q in subsample(data.splits["dev"], 0, 2, data.published)] for data in (plain, drawn)]
    assert steering[0] == steering[1] and len(plain.splits["dev"]) > 2


def test_what_data_clean_names_is_left_out_of_train_alone_and_counted_before_the_limit(tmp_path):
    again, against = row(0, id="again"), row(1, id="against", answerKey="B")
    rows = [*range(100), again, against, row(100, id="of dev"), row(121, id="of test"), row(300, id="of further")]
    own = folder(tmp_path / "own", train=rows, validation=[*range(100, 120), row(100, id="twice")])
    further = config(folder(tmp_path / "further", test=[300, 301]))
    cleaned = config(own, clean=["conflicts", "duplicates", "overlap"], limit=90)
    data = load_run_data(cleaned, evaluation_of(sets=[SetConfig("further", "test", further)]))
    assert data.removed == {"conflicts": 2, "overlap": 3, "duplicates": 1}
    assert "train: 6 of 105 questions left out by data.clean (conflicts 2, overlap 3, duplicates 1)" in data.notes
    assert "train: 90 of 99 questions sampled (data.limit)" in data.notes
    assert [note.split(":")[0] for note in data.notes if "are duplicates, and are kept" in note] == ["validation"]
    assert len(data.splits["train"]) == 90 and not {"again", "against", "q1", "of dev"} & {
        question.id for question in data.splits["train"]
    }
    assert [len(data.splits[split]) for split in ("dev", "test", "further")] == [21, 30, 2], "never changed"
    alone = load_run_data(cleaned, evaluation_of(sets=[SetConfig("further", "test", further)]), ["train"])
    assert alone.splits == {"train": data.splits["train"], "further": data.splits["further"]}
    assert load_run_data(replace(cleaned, clean=[]), evaluation_of()).removed == {}


def test_a_train_of_which_nothing_is_left_is_an_error(tmp_path):
    own = folder(tmp_path, train=range(100, 110))
    with pytest.raises(DataError, match=r"no question is left after data.clean=\[overlap\]"):
        load_run_data(config(own, clean=["overlap"]), evaluation_of())


def test_a_cut_that_leaves_few_questions_says_what_an_accuracy_on_them_is_worth(tmp_path):
    single = config(write(tmp_path / "mine.jsonl", [row(n) for n in range(60)]))
    notes = [note for note in load(single).notes if "known to" in note]
    assert [note.split(":")[0] for note in notes] == ["dev", "test"]
    assert "give files of your own: a folder with train, dev and test as data.path" in notes[0]
    given = folder(tmp_path / "given", validation=range(100, 103))
    assert not [note for note in load(config(given)).notes if "known to" in note], "what is given is as it is wanted"


@pytest.mark.slow
@needs_real_sets
@pytest.mark.parametrize(
    ("name", "sizes", "equal", "shared"),
    [
        ("arc_easy", [2251, 570, 2376], 0, 7),
        ("arc_challenge", [1119, 299, 1172], 0, 7),
        ("openbookqa", [4957, 500, 500], 3, 23),
        ("commonsenseqa", [9741, 1221], 122 + 24, None),
    ],
)
def test_a_real_set_has_its_publishers_counts(name, sizes, equal, shared):
    data = load(group(name, path=str(Path(REAL) / name)))
    found = [len(questions) for questions in data.splits.values()]
    if name == "commonsenseqa":
        found = [found[0] + found[1], found[2]]
    assert found == sizes and not data.bad_rows
    every = [question for questions in data.splits.values() for question in questions]
    assert sum(map(checks.has_equal_choices, every)) == equal
    assert shared is None or checks.count_overlap(data.splits["test"], data.splits["train"]) == shared


@needs_real_sets
@pytest.mark.parametrize("name", ["arc_easy", "arc_challenge", "openbookqa", "commonsenseqa"])
def test_a_real_set_is_the_same_as_arrow_and_as_json_lines(name, tmp_path):
    found = []
    for end in ("arrow", "jsonl"):
        (tmp_path / end).mkdir()
        (tmp_path / end / f"x.{end}").symlink_to(Path(REAL) / name / f"validation.{end}")
        splits = {"train": "x", "dev": "x", "test": None}
        found += load(group(name, path=str(tmp_path / end), splits=splits, bad_rows="skip"), ("dev",)).splits["dev"]
    assert fingerprint(found[: len(found) // 2]) == fingerprint(found[len(found) // 2 :])


@needs_real_sets
def test_real_mmlu_has_its_counts_subjects_and_repeats_and_is_the_same_as_csv():
    data = load(group("mmlu", path=str(Path(REAL) / "mmlu")), ("dev", "test"))
    assert {split: len(questions) for split, questions in data.splits.items()} == {"dev": 1531, "test": 14042}
    assert sum(map(checks.has_equal_choices, data.splits["test"])) == 9
    assert len({q.subject for q in data.splits["test"]}) == 57
    assert "test: 105 of 14042 questions are duplicates, and are kept" in data.notes
    as_csv = load(group("mmlu", path=str(Path(REAL) / "mmlu" / "csv")), ("test",)).splits["test"]
    subjects = {q.subject for q in as_csv}
    assert as_csv == [q for q in data.splits["test"] if q.subject in subjects] and len(subjects) == 5
