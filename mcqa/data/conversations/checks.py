"""What every conversation must satisfy before a model is trained or measured on it; as checks.py for questions."""

from collections.abc import Sequence

from mcqa.config.errors import DataError
from mcqa.data.checks import checked_name, checked_text, describe_value
from mcqa.data.conversations.conversation import Conversation, Form, Role, Turn

ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""The role of a turn by its name in a file: OpenAI's names, and ShareGPT's."""


def validated_conversation(
    *,
    id: object,
    turns: Sequence[tuple[object, object]],
    form: Form,
    rejected: object = None,
    cluster: object = None,
) -> Conversation:
    """Return the conversation of these roles and contents; nothing is repaired.

    Raises:
        DataError: a role is unknown or out of turn, a content is blank, not text or damaged, or the last turn is not
            the assistant's.
    """
    checked = tuple(
        Turn(_role(role, n), checked_text(f"turn {n}", content)) for n, (role, content) in enumerate(turns, 1)
    )
    spoken = checked[1:] if checked and checked[0].role == "system" else checked
    first = len(checked) - len(spoken)
    for n, turn in enumerate(spoken):
        expected: Role = "assistant" if n % 2 else "user"
        if turn.role != expected:
            only_first = " A system's turn stands first only." if turn.role == "system" else ""
            raise DataError(f"turn {first + n + 1} is the {turn.role}'s, where the {expected}'s would be.{only_first}")
    if not spoken:
        raise DataError("there is no turn of a user and an assistant.")
    if spoken[-1].role != "assistant":
        raise DataError("the last turn is the user's, so there is no answer of the assistant to learn.")
    worse = checked_text("rejected", rejected) if rejected is not None else ""
    if worse and worse == checked[-1].content:
        raise DataError("chosen and rejected are the same answer.")
    return Conversation(checked_name("id", id), checked, form, worse, cluster=checked_name("cluster", cluster))


def _role(role: object, number: int) -> Role:
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(ROLES)
        tools = " Turns of tools cannot be trained on." if role in ("tool", "function", "ipython") else ""
        raise DataError(f"the role of turn {number} is {describe_value(role)}, none of {known}.{tools}")
    return ROLES[role]
