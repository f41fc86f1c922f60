"""The styles of prompts: what stands before an answer, and what is scored of each choice, as Jinja2 templates.

A template is filled in with `question`, `context` (the passage) and `subject`, which are "" where there is none, the
lists `choices` and `letters`, and `choice`, `letter` and `number` (from 1) of the choice that is scored. Where the text
before the answer names the choice, as in `blank`, every choice is read after a text of its own.

Templates run in a sandbox: they see these texts and Python's methods of texts, no other attribute and no file, and
nothing in them is drawn by chance. White space is kept as in the templates of lm-evaluation-harness.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from string import ascii_uppercase
from typing import Any, Protocol

from mcqa.config.errors import nearest

OF_CHOICE = ("choice", "letter", "number")
NAMES = ("question", "context", "subject", "choices", "letters", *OF_CHOICE)
"""What templates are filled in with."""

CHOICE, LETTER = "{{ choice }}", "{{ letter }}"
_PASSAGE = "{% if context %}{{ context }}\n{% endif %}"
_LETTERED = (
    "{% if question %}{% if context %}{{ context | trim }}\n{% endif %}Question: {{ question | trim }}\n{% endif %}"
    "{% for choice in choices %}{{ letters[loop.index0] }}. {{ choice }}\n{% endfor %}Answer:"
)


@dataclass(frozen=True)
class Style:
    """The templates of the text that stands before an answer, and of what is scored after one space."""

    text: str
    answer: str

    @property
    def shows_options(self) -> bool:
        """Whether the order of the options shows in the prompt."""
        listed = variables(self.text) & {"choices", "letters"}
        return bool(listed or variables(self.answer) & {"letter", "number"})

    @property
    def text_names_choice(self) -> bool:
        """Whether the choices are read after different texts, and the same is scored after all of them."""
        return not variables(self.text).isdisjoint(OF_CHOICE)

    @property
    def has_letters(self) -> bool:
        """Whether there is no prompt for more choices than the alphabet has letters."""
        return not (variables(self.text) | variables(self.answer)).isdisjoint({"letter", "letters"})


STYLES = {
    "cloze": Style(f"{{% if question %}}{_PASSAGE}Question: {{{{ question }}}}\n{{% endif %}}Answer:", CHOICE),
    "letters": Style(_LETTERED, LETTER),
    "letters_with_text": Style(_LETTERED, "{{ letter }}. {{ choice }}"),
    "plain": Style(f"{_PASSAGE}{{{{ question }}}}", CHOICE),
    "continuation": Style("{% if context %}{{ context }} {% endif %}{{ question }}", CHOICE),
    "blank": Style(
        f"{_PASSAGE}{{{{ question.split('_') | first }}}}{{{{ choice }}}}", "{{ question.split('_') | last | trim }}"
    ),
}


class Prompt(Protocol):
    """What names a style, or gives its templates."""

    @property
    def style(self) -> Any: ...
    @property
    def template(self) -> str | None: ...
    @property
    def answer_template(self) -> str | None: ...


def templates(prompt: Prompt) -> Style:
    """Return the templates of a prompt's style, which is not `published`."""
    if prompt.style != "template":
        return STYLES[prompt.style]
    assert prompt.template is not None, "rules.py"
    return Style(prompt.template, CHOICE if prompt.answer_template is None else prompt.answer_template)


def template_problems(key: str, text: str | None, answer: str | None) -> Iterator[str]:
    """Yield what is wrong with the templates `<key>.template` and `<key>.answer_template` (null: the choice itself)."""
    if not text:
        yield f"{key}.template: {key}.style=template needs one, such as 'Q: {{{{ question }}}} A:'."
        return
    given = {"template": text} | ({} if answer is None else {"answer_template": answer})
    flaws = {name: flaw for name, template in given.items() if (flaw := _flaw(template))}
    for name, flaw in flaws.items():
        yield f"{key}.{name}: {flaw}"
    if flaws:
        return
    style = Style(text, CHOICE if answer is None else answer)
    answer_names_choice = not variables(style.answer).isdisjoint(OF_CHOICE)
    if style.text_names_choice and answer_names_choice:
        yield (
            f"{key}.template: names the choice, and so does {key}.answer_template (null: the choice). Name it in what "
            "is scored, or in the text before it and not in what is scored."
        )
    elif not style.text_names_choice and not answer_names_choice:
        yield (
            f"{key}.answer_template: names none of {', '.join(OF_CHOICE)}, nor does {key}.template, so all choices "
            "would have the same score."
        )


def _flaw(template: str) -> str | None:
    """Return the first thing that is wrong with a template for any question; None where there is none."""
    from jinja2 import TemplateSyntaxError, UndefinedError, nodes
    from jinja2.exceptions import SecurityError

    try:
        unknown = sorted(variables(template) - set(NAMES))
    except TemplateSyntaxError as error:
        return f"is no Jinja2 template; line {error.lineno}: {str(error.message).rstrip('.')}."
    if any(r"\n" in text.data for text in _environment().parse(template).find_all(nodes.TemplateData)):
        return (
            r"has a backslash and an n, which are no new line. In a shell write $'…\n…', or put the template into an "
            r"option file of your own; the two characters themselves are written {{ '\\n' }}."
        )
    if unknown:
        return f"there is no {unknown[0]!r}; known are {', '.join(NAMES)}.{nearest(unknown[0], NAMES)}"
    try:
        fill(template, values("Why _?", "A passage.", "a subject", [f"choice {n}" for n in range(26)], 0))
    except ValueError as error:
        cause = error.__cause__
        if isinstance(cause, (SecurityError, TypeError)):
            return f"cannot be filled in: {error}"
        if isinstance(cause, UndefinedError) and "has no attribute" in str(cause):
            return f"cannot be filled in: {error}"
    return None  # what else may go wrong depends on the question, as that there is no sixth choice


def values(question: str, context: str, subject: str, choices: list[str], number: int) -> dict[str, Any]:
    """Return what a template is filled in with for the choice of this number, from 0."""
    letters = list(ascii_uppercase[: len(choices)])
    return {
        "question": question,
        "context": context,
        "subject": subject,
        "choices": choices,
        "letters": letters,
        "choice": choices[number],
        "letter": letters[number] if number < len(letters) else "",
        "number": number + 1,
    }


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of a template.

    Raises:
        ValueError: it asks for what is not there or not allowed; the message says why.
    """
    from jinja2 import TemplateError

    # What somebody's expression raises, and not the signal that stops a run.
    of_expressions = (TemplateError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
    try:
        return str(_compiled(template).render(values))
    except of_expressions as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise ValueError(f"{reason}.") from error


@cache
def variables(template: str) -> frozenset[str]:
    """Return the names that a template is to be filled in with.

    Raises:
        jinja2.TemplateSyntaxError: it is no template.
    """
    from jinja2 import meta

    environment = _environment()
    _compiled(template)  # which knows filters and tests, and the parser does not
    return frozenset(meta.find_undeclared_variables(environment.parse(template)) - environment.globals.keys())


@cache
def _compiled(template: str) -> Any:
    return _environment().from_string(template)


@cache
def _environment() -> Any:
    """Jinja2 takes longer to import than a configuration to compose, and most configurations need none."""
    from jinja2 import StrictUndefined
    from jinja2.runtime import LoopContext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Sandbox(ImmutableSandboxedEnvironment):
        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return isinstance(obj, (str, LoopContext, Namespace)) and super().is_safe_attribute(obj, attr, value)

    environment = Sandbox(undefined=StrictUndefined, keep_trailing_newline=True)
    for by_chance in ("lipsum", "cycler", "joiner"):
        del environment.globals[by_chance]
    del environment.filters["random"]
    return environment
