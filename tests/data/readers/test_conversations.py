"""Rows of conversations, instructions and pairs are read as they are published, and refused where they are damaged."""

from dataclasses import replace

import pytest

from mcqa.config.errors import DataError
from mcqa.config.schema import Conversations
from mcqa.data.conversations.conversation import Conversation
from mcqa.data.question import Question
from mcqa.data.readers.conversations import read_instruction, read_messages, read_pair

NONE = dict.fromkeys(("turns", "prompt", "input", "answer", "rejected", "system", "cluster", "id"))
COLUMNS = Conversations(form="chat", questions=None, role="role", content="content", **NONE)
MESSAGES = replace(COLUMNS, turns="messages")
SHAREGPT = replace(COLUMNS, turns="conversations", role="from", content="value")
ALPACA = replace(COLUMNS, form="alpaca", prompt="instruction", input="input", answer="output")
PAIRS = replace(COLUMNS, prompt="prompt", answer="chosen", rejected="rejected")
LETTERED = replace(MESSAGES, questions="lettered")


def turns(*said):
    """Turns of the user and the assistant, one after the other."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]


def said(conversation):
    return [(turn.role, turn.content) for turn in conversation.turns]


# --- messages --------------------------------------------------------------------------------------------------------


def test_messages_are_read_as_published_white_space_included():
    row = {"messages": [{"role": "system", "content": "Be brief."}, *turns(" Hi? ", "Hello.\n", "And?", "Bye.")]}
    read = read_messages(row, MESSAGES)
    assert said(read) == [
        ("system", "Be brief."), ("user", " Hi? "), ("assistant", "Hello.\n"), ("user", "And?"), ("assistant", "Bye."),
    ]  # fmt: skip
    assert (read.answer, read.question, len(read.asked)) == ("Bye.", "And?", 4)


def test_the_names_of_sharegpt_are_roles_too():
    row = {"conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}]}
    assert said(read_messages(row, SHAREGPT)) == [("user", "Hi?"), ("assistant", "Hello.")]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ("hello", "the turns are 'hello' (str), not a list."),
        ([], "there is no turn of a user and an assistant."),
        (["hello"], "turn 1 is 'hello' (str), not an object with a role and a content."),
        ([{"rôle": "user", "content": "Hi?"}], "turn 1: there is no 'role'; the row has rôle, content."),
        ([{"role": "tool", "content": "7"}], "the role of turn 1 is 'tool' (str), none of system, user, human"),
        (turns("Hi?"), "the last turn is the user's, so there is no answer of the assistant to learn."),
        ([*turns("Hi?", "Hello."), turns("", "Again.")[1]], "turn 3 is the assistant's, where the user's would be."),
        ([*turns("Hi?", "Hello."), {"role": "system", "content": "x"}], "A system's turn stands first only."),
        (turns("Hi?", "Hello.")[1:], "turn 1 is the assistant's, where the user's would be."),
        (turns("Hi?", " "), "turn 2 is empty."),
        (turns("Hi?", None), "turn 2 is absent, not text."),
        (turns("Hi?", [{"type": "text", "text": "x"}]), "not text."),
        (turns("Hi \ufffd", "Hello."), "turn 1 contains U+FFFD"),
        ([turns("Hi?")[0], {"role": "assistant", "content": "x", "tool_calls": [1]}], "turn 2 calls tools"),
    ],
)
def test_what_is_no_conversation_is_refused(messages, told):
    with pytest.raises(DataError) as error:
        read_messages({"messages": messages}, MESSAGES)
    assert told in str(error.value)


def test_a_row_without_the_column_names_those_that_it_has():
    with pytest.raises(DataError, match=r"there is no 'messages'; the row has message. Did you mean 'message'\?"):
        read_messages({"message": []}, MESSAGES)


# --- questions in messages -------------------------------------------------------------------------------------------

ASKED = "Which is a mammal?\nA. the trout\nB. the whale\nC. the wren"


@pytest.mark.parametrize("answer", ["B", " B ", "B.", "(B)", "B)", "the whale", "B. the whale", "(B) the whale"])
@pytest.mark.parametrize("asked", [ASKED, f"{ASKED}\nAnswer:", ASKED.replace("A. ", "(A) ").replace("B. ", "B) ")])
def test_lettered_options_and_an_answer_among_them_are_a_question(asked, answer):
    read = read_messages({"messages": turns(asked, answer)}, LETTERED)
    assert isinstance(read, Question)
    assert (read.question, read.choices, read.answer) == (
        "Which is a mammal?", ("the trout", "the whale", "the wren"), 1,
    )  # fmt: skip
    assert isinstance(read_messages({"messages": turns(asked, answer)}, MESSAGES), Conversation)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (ASKED, "D"),
        (ASKED, "b"),
        (ASKED, "B. the wren"),
        (ASKED, "B because it is a whale"),
        (ASKED, "whale"),
        (ASKED.replace("C. ", "D. "), "B"),
        (ASKED.replace("A. the trout\n", ""), "B"),
        (f"{ASKED}\nThink first.", "B"),
        ("A. the trout\nB. the whale", "B"),
        ("Which?\nA. the trout", "A"),
        (ASKED.replace("the wren", "the whale"), "the whale"),
    ],
)
def test_what_is_not_certainly_a_question_stays_a_conversation(asked, answer):
    assert isinstance(read_messages({"messages": turns(asked, answer)}, LETTERED), Conversation)


def test_a_conversation_of_several_turns_or_with_a_system_is_no_question():
    for messages in (turns(ASKED, "B", "Sure?", "B"), [{"role": "system", "content": "x"}, *turns(ASKED, "B")]):
        assert isinstance(read_messages({"messages": messages}, LETTERED), Conversation)


# --- instructions ----------------------------------------------------------------------------------------------------


def test_an_instruction_has_the_text_of_alpaca_with_an_input_and_without():
    with_input = read_instruction({"instruction": "Add {x}.", "input": "1 {y}", "output": "2"}, ALPACA)
    assert with_input.question.endswith("### Instruction:\nAdd {x}.\n\n### Input:\n1 {y}\n\n### Response:")
    for row in ({"instruction": "Sing.", "input": "", "output": "La."}, {"instruction": "Sing.", "output": "La."}):
        assert read_instruction(row, ALPACA).question == (
            "Below is an instruction that describes a task. Write a response that appropriately completes the request."
            "\n\n### Instruction:\nSing.\n\n### Response:"
        )


def test_in_other_forms_the_input_follows_the_instruction():
    row = {"instruction": "Add.", "input": "1 and 1", "output": "2"}
    assert said(read_instruction(row, replace(ALPACA, form="plain"))) == [
        ("user", "Add.\n\n1 and 1"),
        ("assistant", "2"),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"instruction": ""}, "the instruction is empty."),
        ({"instruction": None}, "the instruction is absent, not text."),
        ({"input": 3}, "the input is '3' (int), not text."),
        ({"output": ""}, "turn 2 is empty."),
    ],
)
def test_an_instruction_that_lacks_something_is_refused(changes, told):
    with pytest.raises(DataError) as error:
        read_instruction({"instruction": "Add.", "input": "", "output": "2"} | changes, ALPACA)
    assert str(error.value) == told


# --- pairs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi?", "chosen": "Hello.", "rejected": "No."},
        {"prompt": turns("Hi?"), "chosen": turns("", "Hello.")[1:], "rejected": turns("", "No.")[1:]},
        {"prompt": "Hi?", "chosen": turns("Hi?", "Hello."), "rejected": turns("Hi?", "No.")},
        {"chosen": turns("Hi?", "Hello."), "rejected": turns("Hi?", "No.")},
    ],
)
def test_a_pair_is_a_conversation_with_a_worse_answer(row):
    read = read_pair(row, PAIRS)
    assert (said(read), read.rejected) == ([("user", "Hi?"), ("assistant", "Hello.")], "No.")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "Hi?", "chosen": "No.", "rejected": "No."}, "chosen and rejected are the same answer."),
        ({"prompt": "Hi?", "chosen": "Hello.", "rejected": None}, "'rejected' is absent."),
        ({"prompt": "Hi?", "chosen": "Hello.", "rejected": " "}, "rejected is empty."),
        ({"chosen": "Hello.", "rejected": "No."}, "'chosen' is text, and there is no prompt"),
        ({"prompt": "Ho?", "chosen": turns("Hi?", "x"), "rejected": "No."}, "'chosen' before its answer are not those"),
        ({"chosen": turns("Hi?", "x"), "rejected": turns("Ho?", "y")}, "'rejected' before its answer are not those"),
        (
            {"prompt": "Hi?", "chosen": turns("Hi?"), "rejected": "No."},
            "'chosen' does not end in a turn of the assistant",
        ),
        ({"prompt": "Hi?", "chosen": [], "rejected": "No."}, "'chosen' does not end in a turn of the assistant"),
    ],
)
def test_a_pair_whose_sides_do_not_belong_together_is_refused(row, told):
    with pytest.raises(DataError) as error:
        read_pair(row, PAIRS)
    assert told in str(error.value)


def test_a_system_text_an_id_and_a_cluster_come_from_their_columns():
    columns = replace(PAIRS, system="system", id="number", cluster="topic")
    row = {"system": "Be kind.", "prompt": "Hi?", "chosen": "Hello.", "rejected": "No.", "number": 7, "topic": "t"}
    read = read_pair(row, columns)
    assert (said(read)[0], read.id, read.cluster) == (("system", "Be kind."), "7", "t")
