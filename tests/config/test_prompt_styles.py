"""Templates see the texts of a question and nothing else; what is wrong with one is said before anything is loaded."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.prompt_styles import CHOICE, NAMES, STYLES, Style, fill, template_problems, values, variables

SEEN = values("The _ is big.", "A passage.", "animals", ["trout", "whale"], 1)


def filled(template):
    return fill(template, SEEN)


def problems(text, answer=None):
    return list(template_problems("prompt", text, answer))


def test_a_template_is_filled_in_with_the_question_its_choices_and_the_choice_that_is_scored():
    assert set(SEEN) == set(NAMES)
    assert filled("{{ question }}|{{ context }}|{{ subject }}|{{ choices | join(', ') }}|{{ letters | join }}") == (
        "The _ is big.|A passage.|animals|trout, whale|AB"
    )
    assert filled("{{ letter }}{{ number }} {{ choice }}") == "B2 whale"


def test_white_space_and_line_ends_are_kept_as_the_harness_keeps_them():
    assert filled("  {{ choice }}\n{% if context %}\n{% endif %}\n") == "  whale\n\n\n"


@pytest.mark.parametrize(
    ("style", "shows_options", "names_choice", "has_letters"),
    [
        ("cloze", False, False, False),
        ("letters", True, False, True),
        ("letters_with_text", True, False, True),
        ("plain", False, False, False),
        ("continuation", False, False, False),
        ("blank", False, True, False),
    ],
)
def test_what_a_style_does_follows_from_its_templates(style, shows_options, names_choice, has_letters):
    found = STYLES[style]
    assert (found.shows_options, found.text_names_choice, found.has_letters) == (
        shows_options,
        names_choice,
        has_letters,
    )
    assert problems(found.text, found.answer) == []


def test_a_loop_over_the_choices_shows_them_and_does_not_name_the_one_that_is_scored():
    style = Style("{% for choice in choices %}{{ choice }}{% endfor %}", CHOICE)
    assert style.shows_options and not style.text_names_choice and not style.has_letters


# --- what a template may not do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        "{{ question.__class__.__mro__ }}",
        "{{ question | attr('__class__') }}",
        "{{ '{0.__class__}'.format(question) }}",
        "{{ ''['__class__'] }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ question.format.__globals__ }}",
        "{{ choices.append('a') }}",
        "{{ choices.__len__() }}",
        "{{ range.__doc__ }}",
        "{% for one in choices %}{{ loop.__init__ }}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'base' %}",
        "{{ range(10 ** 9) | list }}",
    ],
)
def test_no_template_reaches_an_attribute_a_file_or_endless_work(template):
    with pytest.raises(ValueError):
        filled(template)


@pytest.mark.parametrize("template", ["{{ lipsum() }}", "{{ cycler('a') }}", "{{ open('/etc/passwd') }}", "{{ os }}"])
def test_there_are_no_other_names(template):
    (told,) = problems(template + "{{ question }}")
    assert told.startswith("prompt.template: there is no '")


def test_nothing_is_drawn_by_chance():
    assert "No filter named 'random'" in problems("{{ choices | random }}")[0]


@given(st.text(max_size=30))
def test_what_a_question_says_is_text_and_never_a_template(text):
    seen = SEEN | {"question": text + "{{ choices }}{% if %}"}
    assert fill("{{ question }}", seen) == text + "{{ choices }}{% if %}"


# --- what is wrong with one -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer", "told"),
    [
        (None, None, "prompt.template: prompt.style=template needs one"),
        ("", None, "prompt.template: prompt.style=template needs one"),
        ("{{ question", None, "prompt.template: is no Jinja2 template; line 1: unexpected end of template"),
        ("a\n{% fo %}", None, "prompt.template: is no Jinja2 template; line 2: Encountered unknown tag 'fo'"),
        ("{{ question | uper }}", None, "prompt.template: is no Jinja2 template; line 1: No filter named 'uper'."),
        ("{{ questions }}", None, "prompt.template: there is no 'questions'; known are question, context, subject, "),
        ("{% if no %}{{ chioces }}{% endif %}", None, "prompt.template: there is no 'chioces'"),
        ("{{ question }}", "{{ text }}", "prompt.answer_template: there is no 'text'"),
        ("{{ question.text }}", None, "prompt.template: cannot be filled in: 'str object' has no attribute 'text'."),
        ("{{ question.__class__ }}", None, "prompt.template: cannot be filled in: access to attribute '__class__'"),
        ("{% include 'a' %}", None, "prompt.template: cannot be filled in: no loader"),
        (r"Q: {{ question }}\nA:", None, "prompt.template: has a backslash and an n, which are no new line."),
        ("{{ choice }}", None, "prompt.template: names the choice, and so does prompt.answer_template"),
        ("{{ question }}", "A", "prompt.answer_template: names none of choice, letter, number, nor does prompt.templ"),
    ],
)
def test_a_problem_is_told_with_its_key(text, answer, told):
    (found,) = problems(text, answer)
    assert found.startswith(told)


def test_the_nearest_name_is_proposed():
    assert problems("{{ questoin }}")[0].endswith("Did you mean 'question'?")


@pytest.mark.parametrize(
    "template",
    [
        r"{{ question.split('\n')[0] }}",
        "{{ choices[4] }}",
        "{{ question.split('_')[1] | trim }}",
        "{{ question.split('|')[3] }}",
        "{% if choices | length > 2 %}{{ question }}{% endif %}",
        "{% set first = choices[0] %}{{ first }}{{ question | replace('?', '') }}",
        "{% macro line(n, text) %}{{ n }}: {{ text }}{% endmacro %}{{ line(letters[0], choices[0]) }}",
    ],
)
def test_what_depends_on_the_question_is_no_problem_of_the_template(template):
    assert problems(template) == []


def test_a_question_that_a_template_does_not_fit_says_why():
    with pytest.raises(ValueError, match="list object has no element 4"):
        filled("{{ choices[4] }}")


def test_names_are_found_in_every_branch():
    assert variables("{% if subject %}{{ letters }}{% else %}{{ nothing }}{% endif %}{{ range(3) }}") == {
        "subject", "letters", "nothing",
    }  # fmt: skip


@pytest.mark.slow
def test_a_configuration_without_a_template_of_its_own_needs_no_jinja():
    code = (
        "import sys; from mcqa.config.composition import compose; from mcqa.config.validation import typed; "
        "from mcqa.config.schema import Config; typed(compose('config', ['prompt=continuation']), Config); "
        "print('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
