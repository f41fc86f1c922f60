"""A finished run answers typed questions with the probabilities that its scores mean, beside its base."""

import math

import pytest

from mcqa import ask
from mcqa.config.errors import ConfigError, DataError
from mcqa.evaluation import predictions


def typed(monkeypatch, *lines):
    """Let these lines be typed, and then the end of the input."""
    remaining = iter(lines)

    def answer(prompt=""):
        print(prompt, end="")
        try:
            return next(remaining)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", answer)


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("[Lima,Quito]", ["Lima", "Quito"]),
        ('["a, b", "c"]', ["a, b", "c"]),
        ("Lima, Quito", ["Lima", "Quito"]),
        ("[1, 2]", ["1", "2"]),
    ],
)
def test_choices_are_read_as_a_list_of_either_kind(text, choices):
    assert ask.read_choices(text) == choices


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "name one run"),
        (["a", "b"], "name one run"),
        (["a", "question=x"], "choices: a question needs choices"),
        (["a", "question=x", "choices=[1,2]", "wrong=test"], "wrong: shows questions"),
        (["a", "tokens=-1"], "tokens=-1: must be a whole number from 0 to 1000."),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, problem):
    with pytest.raises(ConfigError, match=problem):
        ask.main(arguments)


def test_a_question_that_is_none_is_refused_before_a_model_is_loaded():
    with pytest.raises(DataError, match="needs at least two choices"):
        ask.main(["no/such/run", "question=x", "choices=[1]"])


def test_typed_questions_are_read_until_an_empty_line(monkeypatch, capsys):
    typed(
        monkeypatch, "Capital of Peru?", "Lima", "Quito", "", "1", "One choice?", "only", "", "Again?", "a", "b", "", ""
    )
    asked = list(ask.typed_questions())
    assert [one.question.question for one in asked] == ["Capital of Peru?", "Again?"]
    assert (asked[0].question.choices, asked[0].question.answer, asked[0].is_known) == (("Lima", "Quito"), 0, True)
    assert not asked[1].is_known
    assert "That cannot be asked: a question needs at least two choices" in capsys.readouterr().out


@pytest.mark.slow
def test_the_probabilities_are_those_of_the_runs_own_scores(finished_run, capsys):
    folder, _ = finished_run
    session = ask.open_session(str(folder), folder, 5)
    for name, which in (("test", "tuned"), ("base_test", "base")):
        row = predictions.read(folder / "predictions" / f"{name}.jsonl")[0]
        answer = session.answer(ask.Asked(row.question, True))
        total = sum(math.exp(score) for score in row.scores)
        assert getattr(answer, which) == pytest.approx([math.exp(score) / total for score in row.scores], abs=1e-4)
    assert set(answer.texts) == {"base", "fine-tuned"}
    ask.show(answer)
    shown = capsys.readouterr().out
    assert "(right)" in shown and shown.count(" <") == 2 and "fine-tuned writes:" in shown


@pytest.mark.slow
def test_the_questions_it_got_wrong_are_shown_one_by_one(finished_run, monkeypatch, capsys):
    folder, _ = finished_run
    wrong = [row for row in predictions.read(folder / "predictions" / "test.jsonl") if not row.correct]
    typed(monkeypatch, "", "q")
    ask.main([str(folder), "wrong=test", "tokens=0"])
    shown = capsys.readouterr().out
    assert f"{len(wrong)} questions of test were answered wrong" in shown
    assert shown.count("(right)") == 2
    with pytest.raises(ConfigError, match="wrong=tset: the run has measured dev, test."):
        ask.main([str(folder), "wrong=tset"])
