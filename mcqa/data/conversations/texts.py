"""The text that a conversation becomes, and which of it is the assistant's.

form chat: the tokenizer's chat template. plain: `User: …` and `Assistant: …` with blank lines between, for models that
were not trained for chat. alpaca: the text of the user's turn as it is, and the answer right behind it.

The assistant's contents lose the white space around them, which chat templates drop as well.
"""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from mcqa.config.errors import DataError, ModelError
from mcqa.data.conversations.conversation import Conversation, Turn

NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


def assistant_turns(tokenizer: Any, conversation: Conversation) -> list[tuple[str, str]]:
    """Return for each turn of the assistant the text before it, and its own.

    Raises:
        ModelError: the form is chat and the tokenizer has no chat template.
        DataError: its template refuses the conversation.
    """
    turns = conversation.turns
    numbers = [number for number, turn in enumerate(turns) if turn.role == "assistant"]
    return [_pair(tokenizer, conversation, turns[:number], turns[number]) for number in numbers]


def last_turn(tokenizer: Any, conversation: Conversation) -> tuple[str, str]:
    """Return the text before the last turn, and that turn's own; raises what assistant_turns does."""
    return _pair(tokenizer, conversation, conversation.asked, conversation.turns[-1])


def _pair(tokenizer: Any, conversation: Conversation, before: Sequence[Turn], turn: Turn) -> tuple[str, str]:
    answer = turn.content.strip()
    if conversation.form == "chat":
        return _from_template(tokenizer, conversation, before), answer
    if conversation.form == "alpaca":
        return conversation.question, answer
    spoken = (f"{NAMES[one.role]}: {one.content.strip()}\n\n" for one in before)
    return "".join([*spoken, "Assistant:"]), f" {answer}"


def _from_template(tokenizer: Any, conversation: Conversation, turns: Sequence[Turn]) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "data.conversations.form=chat: the tokenizer has no chat template; base models have none. Take "
            "data.conversations.form=plain (or alpaca for data=instructions), or a model that was trained for chat."
        )
    try:
        text = tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in turns],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # ignored by templates without thinking
        )
    except TemplateError as error:
        raise DataError(
            f"conversation {conversation.id!r}: the tokenizer's chat template refuses it: {error}. Some take no turn "
            "of the system; leave these rows out, or take data.conversations.form=plain."
        ) from error
    return str(text)
