"""Rows of data=messages, instructions and pairs: conversations, and the questions that are recognised in them.

Published forms that are read as they are: OpenAI's messages; ShareGPT's conversations (data=sharegpt); Alpaca's
instruction, input and output (Taori et al. 2023); prompt, chosen and rejected of preference sets, as text or turns.
"""

import re
from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import Any

from mcqa.config.errors import DataError
from mcqa.config.schema import ColumnName, Conversations
from mcqa.data.checks import describe_value, no_such_field, validated_question
from mcqa.data.conversations.checks import ROLES, validated_conversation
from mcqa.data.conversations.conversation import Conversation, Entry
from mcqa.data.readers.columns import optional_value_of, value_of

ALPACA = {
    True: "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n"
    "### Response:",
    False: "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\n{instruction}\n\n### Response:",
}
"""What Stanford Alpaca was trained on, with an input and without (PROMPT_DICT of its train.py)."""

OPTION = re.compile(r"\s*\(?([A-Z])[.):]\s+(\S.*)")
"""A line such as `A. text`, `(A) text` or `A: text`."""

Turns = list[tuple[object, object]]


def read_messages(row: Mapping[str, Any], columns: Conversations) -> Entry:
    """Return a row that holds a list of turns; with columns.questions as a question, where the turns have one.

    Raises (as all readers here do):
        DataError: what a conversation needs is absent, or no conversation.
    """
    conversation = _conversation(row, columns, _turns(_value(row, columns.turns), columns))
    return (question_in(conversation) if columns.questions else None) or conversation


def read_instruction(row: Mapping[str, Any], columns: Conversations) -> Conversation:
    """Return an instruction, which may have an input, and its output."""
    instruction, given = _value(row, columns.prompt), optional_value_of(row, columns.input)
    for key, text in (("instruction", instruction), ("input", given or "")):
        if not isinstance(text, str):
            raise DataError(f"the {key} is {describe_value(text)}, not text.")
    if not instruction.strip():
        raise DataError("the instruction is empty.")
    has_input = bool(given and given.strip())
    if columns.form == "alpaca":
        asked = ALPACA[has_input].format_map({"instruction": instruction, "input": given})
    else:
        asked = f"{instruction}\n\n{given}" if has_input else instruction
    return _conversation(row, columns, [("user", asked), ("assistant", _value(row, columns.answer))])


def read_pair(row: Mapping[str, Any], columns: Conversations) -> Conversation:
    """Return a conversation whose answer is the better one; the worse one is its `rejected`.

    chosen and rejected may be whole conversations, whose turns before the answer must then be those of the prompt.
    """
    prompt = optional_value_of(row, columns.prompt)
    before: Turns | None = None
    if prompt is not None:
        before = _turns(prompt, columns) if isinstance(prompt, list) else [("user", prompt)]
    ends = []
    for key in (columns.answer, columns.rejected):
        end = _value(row, key)
        if isinstance(end, list):
            *own, (role, end) = _turns(end, columns) or [(None, None)]
            if role != "assistant":
                raise DataError(f"{key!r} does not end in a turn of the assistant.")
            if own and before not in (None, own):
                raise DataError(f"the turns of {key!r} before its answer are not those of the prompt.")
            before = own if before is None else before
        elif before is None:
            raise DataError(f"{key!r} is text, and there is no prompt (data.conversations.prompt).")
        ends.append(end)
    chosen, rejected = ends
    if rejected is None:
        raise DataError(f"{columns.rejected!r} is absent.")
    return _conversation(row, columns, [*(before or []), ("assistant", chosen)], rejected)


ConversationReader = Callable[[Mapping[str, Any], Conversations], Entry]

CONVERSATIONS: dict[str, ConversationReader] = {
    "messages": read_messages,
    "instructions": read_instruction,
    "pairs": read_pair,
}


def question_in(conversation: Conversation) -> Any:
    """Return the question that a conversation is; None unless it certainly is one.

    It is one where the user's only turn ends in lines with options lettered from A, after which only `Answer:` may
    stand, and the assistant's only turn is a letter of one (`B`, `B.`, `(B)`), its text, or both (`B. text`).
    """
    if [turn.role for turn in conversation.turns] != ["user", "assistant"]:
        return None
    lines = conversation.question.rstrip().split("\n")
    if lines[-1].strip() == "Answer:":
        lines.pop()
    options: list[str] = []
    while lines and (found := OPTION.fullmatch(lines[-1])):
        options.insert(0, f"{found[1]}{found[2]}")
        lines.pop()
    choices = [option[1:].strip() for option in options]
    asked = "\n".join(lines).strip()
    if len(choices) < 2 or "".join(option[0] for option in options) != ascii_uppercase[: len(choices)] or not asked:
        return None
    answer = conversation.answer.strip()
    if (found := re.fullmatch(r"\(?([A-Z])[.):]?", answer)) and found[1] in ascii_uppercase[: len(choices)]:
        right = ascii_uppercase.index(found[1])
    elif (found := OPTION.fullmatch(answer)) and found[1] in ascii_uppercase[: len(choices)]:
        right = ascii_uppercase.index(found[1])
        if choices[right] != found[2].strip():
            return None
    elif choices.count(answer) == 1:
        right = choices.index(answer)
    else:
        return None
    return validated_question(
        id=conversation.id, question=asked, choices=choices, answer=right, cluster=conversation.cluster
    )


def _conversation(
    row: Mapping[str, Any], columns: Conversations, turns: Turns, rejected: object = None
) -> Conversation:
    system = optional_value_of(row, columns.system)
    first: Turns = [("system", system)] if isinstance(system, str) and system.strip() else []
    if system is not None and not isinstance(system, str):
        raise DataError(f"{columns.system!r} is {describe_value(system)}, not text.")
    return validated_conversation(
        id=optional_value_of(row, columns.id),
        turns=[*first, *turns],
        form=columns.form,
        rejected=rejected,
        cluster=optional_value_of(row, columns.cluster),
    )


def _turns(value: object, columns: Conversations) -> Turns:
    """Return role and content of each turn."""
    if not isinstance(value, list):
        raise DataError(f"the turns are {describe_value(value)}, not a list.")
    turns: Turns = []
    for number, turn in enumerate(value, 1):
        if not isinstance(turn, dict):
            raise DataError(f"turn {number} is {describe_value(turn)}, not an object with a role and a content.")
        for key in (columns.role, columns.content):
            if key not in turn:
                raise DataError(f"turn {number}: {no_such_field(key, tuple(turn))}")
        if turn.get("tool_calls"):
            raise DataError(f"turn {number} calls tools, which cannot be trained on.")
        role = turn[columns.role]
        turns.append((ROLES.get(role, role) if isinstance(role, str) else role, turn[columns.content]))
    return turns


def _value(row: Mapping[str, Any], name: ColumnName | None) -> Any:
    assert name is not None, "a rule of the configuration"
    return value_of(row, name)
