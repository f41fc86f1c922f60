"""A question as a person reads it, with all its choices, for the terminal."""

from string import ascii_uppercase

from rich.text import Text

from mcqa.data.question import Question

RIGHT = "bold green"


def question_text(question: Question, longest: int | None = None) -> Text:
    """Return the passage, the question and its lettered choices, the right one in green and marked in words.

    longest: characters of each of them that are shown; None: all.
    """
    text = Text(overflow="fold")
    if question.context:
        text.append(f"{_shortened(question.context, longest)}\n", style="italic")
    text.append(f"{_shortened(question.question, longest)}\n")
    for place, choice in enumerate(question.choices):
        letter = ascii_uppercase[place] if place < len(ascii_uppercase) else place + 1
        line, is_right = f"  {letter}  {_shortened(choice, longest)}", place == question.answer
        text.append(f"{line}  ← right\n" if is_right else f"{line}\n", style=RIGHT if is_right else "")
    return text


def _shortened(text: str, longest: int | None) -> str:
    return text if longest is None or len(text) <= longest else f"{text[:longest]}…"
