"""Conversations are split, limited and counted as questions are, and a mix is its sets with ids that name them."""

import json

import pytest

from mcqa.config.errors import DataError
from mcqa.data.conversations.conversation import Conversation
from mcqa.data.loading import load, load_run_data
from tests.config.configurations import config


def talk(n, answer=None):
    return {
        "messages": [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": answer or f"{n}."}]
    }


def lettered(n):
    asked = f"What is {n}?\nA. {n}\nB. {n + 1}"
    return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": "A"}]}


def asked(n):
    return {"question": f"What is {n}?", "choices": [str(n), str(n + 1)], "answer": n % 2}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def data_of(*overrides):
    return config(*overrides).data


def messages(path, *overrides):
    return data_of("data=messages", f"data.path={path}", *overrides)


# --- conversations ---------------------------------------------------------------------------------------------------


def test_a_file_of_conversations_is_split_as_one_of_questions(tmp_path):
    data = load(messages(write(tmp_path / "chat.jsonl", map(talk, range(200)))))
    sizes = {split: len(talks) for split, talks in data.conversations.items()}
    assert data.splits == {} and sum(sizes.values()) == 200
    assert sizes["train"] > 140 and min(sizes["dev"], sizes["test"]) > 5
    assert len({one.id for talks in data.conversations.values() for one in talks}) == 200
    assert f"dev: {sizes['dev']} of 200 conversations in chat.jsonl, a file without splits" in data.notes


def test_other_answers_to_the_same_turns_stay_in_one_split(tmp_path):
    rows = [talk(n, answer) for n in range(60) for answer in ("Yes.", "No.")]
    data = load(messages(write(tmp_path / "chat.jsonl", rows)))
    asked_in = [{one.context for one in talks} for talks in data.conversations.values()]
    assert not asked_in[0] & asked_in[1] and not asked_in[0] & asked_in[2]


def test_a_limit_is_a_subset_of_a_larger_one(tmp_path):
    path = write(tmp_path / "chat.jsonl", map(talk, range(100)))
    few, more = (load(messages(path, f"data.limit={n}")).conversations["train"] for n in (5, 20))
    assert len(few) == 5 and {one.id for one in few} < {one.id for one in more}


def test_bad_rows_are_errors_or_left_out_and_repetitions_are_kept(tmp_path):
    rows = [*map(talk, range(50)), talk(0), {"messages": []}]
    path = write(tmp_path / "chat.jsonl", rows)
    with pytest.raises(DataError, match=r"1 of 52 rows cannot be used"):
        load(messages(path))
    data = load(messages(path, "data.bad_rows=skip"))
    assert sum(map(len, data.conversations.values())) == 51 and len(data.bad_rows) == 1
    assert "chat.jsonl: 1 of 51 conversations are duplicates, and are kept" in data.notes


def test_what_occurs_in_test_and_train_is_told(tmp_path):
    for split, numbers in (("train", range(10)), ("dev", range(10, 14)), ("test", [8, 9, 20])):
        write(tmp_path / f"{split}.jsonl", map(talk, numbers))
    assert (
        "test: 2 of 3 conversations ask what is asked in train too (answers may differ)"
        in load(messages(tmp_path)).notes
    )


def test_questions_told_in_messages_are_questions_and_counted(tmp_path):
    path = write(tmp_path / "chat.jsonl", [*map(lettered, range(60)), *map(talk, range(60, 90))])
    data = load(messages(path, "data.conversations.questions=lettered"))
    assert sum(map(len, data.splits.values())) == 60 and sum(map(len, data.conversations.values())) == 30
    assert "chat.jsonl: 60 of 90 conversations are read as questions (data.conversations.questions)" in data.notes


def test_conversations_need_no_test_and_are_measured_on_question_sets(tmp_path):
    write(tmp_path / "train.jsonl", map(talk, range(50)))
    run = config("data=messages", f"data.path={tmp_path}", "data.splits={train: train, dev: null, test: null}",
                 "evaluation.sets=[facts]", "evaluation.test_limit=7")  # fmt: skip
    data = load_run_data(run.data, run.evaluation)
    assert (list(data.splits), list(data.conversations)) == (["facts"], ["train", "dev"])
    assert data.first_looks == {"facts": (7, 672)} and len(data.splits["facts"]) == 7
    assert run.evaluation.best_metric == "dev/loss"


def test_a_first_look_reads_some_conversations_of_test_too(tmp_path):
    run = config("data=messages", f"data.path={write(tmp_path / 'chat.jsonl', map(talk, range(100)))}",
                 "evaluation.test_limit=2")  # fmt: skip
    assert len(load_run_data(run.data, run.evaluation).conversations["test"]) == 2


# --- a mix -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mix(tmp_path):
    path = write(tmp_path / "mine.jsonl", map(asked, range(100)))
    chat = write(tmp_path / "chat.jsonl", map(talk, range(40)))
    mine = f"{{data: local, path: {path}, name: mine, weight: 2}}"
    return ["data=mix", f"data.sets=[{mine},{{data: facts, limit: 20}},{{data: messages, path: {chat}}}]"]


def test_a_mix_is_its_sets_one_after_the_other_with_ids_and_subjects_that_name_them(mix):
    data = load(data_of(*mix))
    alone = load(data_of(*mix).sets[0].data)
    own = [one for one in data.splits["train"] if one.id.startswith("mine/")]
    assert [one.id for one in own] == [f"mine/{one.id}" for one in alone.splits["train"]]
    assert {one.subject for one in own} == {"mine"}
    assert sum(one.id.startswith("facts/") for one in data.splits["train"]) == 20
    assert all(isinstance(one, Conversation) and one.subject == "messages" for one in data.conversations["dev"])
    assert list(data.parts["test"]["mine"].values()) == alone.splits["test"]
    assert data.mixture.weights == {"mine": 2, "facts": 1, "messages": 1}
    assert any(note.startswith("train: an epoch draws ") for note in data.notes)


def test_the_limit_of_a_mix_holds_for_all_sets_together(mix):
    data = load(data_of(*mix, "data.limit=30"))
    assert len(data.entries["train"]) == 30


def test_mistakes_in_a_set_name_its_keys(mix, tmp_path):
    write(tmp_path / "mine.jsonl", [{"question": "?"}])
    with pytest.raises(DataError, match=r"^data\.sets\[0\]"):
        load(data_of(*mix))
    run = config("evaluation.sets=[{data: mix, sets: [facts,{data: local, path: none.csv}]}]")
    with pytest.raises(DataError, match=r"evaluation\.sets\[0\]\.sets\[1\]\.path=none\.csv"):
        load_run_data(run.data, run.evaluation)


def test_a_mix_is_measured_beside_another_set(mix):
    sets = mix[1].removeprefix("data.sets=")
    run = config(f"evaluation.sets=[{{data: mix, name: all, sets: {sets}}}]")
    data = load_run_data(run.data, run.evaluation)
    assert {one.id.partition("/")[0] for one in data.splits["all"]} == {"mine", "facts"}
    assert {one.id.partition("/")[0] for one in data.conversations["all"]} == {"messages"}


def test_a_first_look_at_a_mix_reads_as_many_test_questions_of_each_set_as_of_the_set_alone(mix):
    run = config(*mix, "evaluation.test_limit=3")
    data = load_run_data(run.data, run.evaluation)
    assert {name: len(questions) for name, questions in data.parts["test"].items()} == {"mine": 3, "facts": 3}
    assert [one.id for one in data.splits["test"]] == [id for its in data.parts["test"].values() for id in its]
    assert data.first_looks["facts"] == (3, 672) and data.first_looks["test"][0] == 6
    alone = config("evaluation.test_limit=3")
    expected = load_run_data(alone.data, alone.evaluation).splits["test"]
    assert list(data.parts["test"]["facts"].values()) == expected
