"""Ask a finished run: type a question and its choices, and see what base and fine-tuned model answer.

    python -m mcqa.ask RUN                                   asks for questions, until an empty line
    python -m mcqa.ask RUN question="What is the capital of Peru?" choices="[Lima,Quito,Bogota]"
    python -m mcqa.ask RUN wrong=test                        the questions that it got wrong, one after the other

RUN is a run folder (outputs/runs/<name>/<id>) or an MLflow run id.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcqa.config import plain_options
from mcqa.config.errors import ConfigError, DataError, listing
from mcqa.config.plain_command import plain_command
from mcqa.config.plain_options import Option, file_path, help_lines, some_text, whole_number

if TYPE_CHECKING:
    from mcqa.config.schema import Config
    from mcqa.data.prompts import Shots
    from mcqa.data.question import Question
    from mcqa.models.of_run import TrainedModel

OPTIONS = {
    "question": Option("", some_text, "ask this one question and stop"),
    "choices": Option("", some_text, "its choices: [Lima,Quito], or a JSON list where one has a comma in it"),
    "context": Option("", some_text, "a passage that the question is about"),
    "wrong": Option("", some_text, "show what it got wrong on test, dev or a further set"),
    "tokens": Option("30", whole_number(0, 1000), "how much the models may write freely; 0: nothing"),
    "outputs": Option("outputs", file_path, "where an MLflow run id is looked up"),
}


def main(arguments: Sequence[str]) -> None:
    """Answer the question of the command line, or those that are typed."""
    if {"--help", "-h"} & set(arguments):
        return print(f"{(__doc__ or '').strip()}\n\nOptions (key=value):\n{help_lines(OPTIONS)}")
    problems: list[str] = []
    named, chosen, given = plain_options.parse([text.removeprefix("run=") for text in arguments], OPTIONS, problems)
    if len(named) != 1:
        problems.append("name one run: its folder, outputs/runs/<name>/<id>, or its MLflow run id.")
    if chosen.get("question") and not chosen.get("choices"):
        problems.append("choices: a question needs choices, such as choices=[Lima,Quito].")
    if chosen.get("wrong") and chosen.get("question"):
        problems.append("wrong: shows questions that the run has measured; leave out question=.")
    if problems:
        raise ConfigError(listing(problems))
    session = None
    for asked in _questions(chosen, named[0]):
        session = session or open_session(named[0], Path(chosen["outputs"]).expanduser().absolute(), chosen["tokens"])
        show(session.answer(asked))


# --- questions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A question that is asked; whether its answer is known, or only stands there because a question has one."""

    question: "Question"
    is_known: bool


def _questions(chosen: Mapping[str, Any], run: str) -> Iterator[Asked]:
    if chosen["question"]:
        yield new_question(chosen["question"], read_choices(chosen["choices"]), chosen["context"] or "")
    elif chosen["wrong"]:
        yield from wrong_questions(run, Path(chosen["outputs"]).expanduser().absolute(), chosen["wrong"])
    else:
        yield from typed_questions()


def read_choices(text: str) -> list[str]:
    """Return the choices of `[Lima,Quito]`, or of a list in JSON."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        values = text.strip().removeprefix("[").removesuffix("]").split(",")
    return [str(value).strip() for value in values] if isinstance(values, list) else [str(values)]


def new_question(question: str, choices: Sequence[str], context: str = "", answer: int | None = None) -> Asked:
    """Return a question that was typed.

    Raises:
        DataError: it is no question with at least two choices.
    """
    from mcqa.data.checks import validated_question

    texts = {"question": question, "choices": list(choices), "context": context}
    return Asked(validated_question(id="typed", answer=answer or 0, **texts), answer is not None)


def typed_questions() -> Iterator[Asked]:
    """Yield the questions that somebody types, until an empty line or the end of the input."""
    print("Type a question, then its choices, one a line; an empty line ends the choices, and one more ends all.")
    while text := _line("\nQuestion: "):
        choices: list[str] = []
        while choice := _line(f"  choice {len(choices) + 1}: "):
            choices.append(choice)
        try:
            asked = new_question(text, choices)
        except DataError as error:
            print(f"That cannot be asked: {error}")
            continue
        right = _line("  number of the right one (empty: unknown): ")
        if right.isdecimal() and 0 < int(right) <= len(choices):
            asked = new_question(text, choices, answer=int(right) - 1)
        yield asked


def wrong_questions(run: str, outputs: Path, name: str) -> Iterator[Asked]:
    """Yield the questions that a run got wrong, the most confident mistakes first; Enter shows the next.

    Raises:
        ConfigError: the run has no predictions of this split or set.
    """
    from mcqa.evaluation import predictions
    from mcqa.runs.lookup import finished_run

    folder = finished_run(run, outputs) / "predictions"
    if not (folder / f"{name}.jsonl").is_file():
        there = ", ".join(sorted(path.stem for path in folder.glob("*.jsonl") if not path.stem.startswith("base_")))
        raise ConfigError(f"wrong={name}: the run has measured {there or 'nothing'}.")
    rows = [row for row in predictions.read(folder / f"{name}.jsonl") if not row.correct and row.prediction is not None]
    rows.sort(key=lambda row: row.scores[row.question.answer] - max(row.scores))
    print(f"{len(rows)} questions of {name} were answered wrong; Enter shows the next, q ends.")
    for number, row in enumerate(rows):
        if number and _line("").lower().startswith("q"):
            return
        yield Asked(row.question, True)


def _line(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        return ""


# --- answers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What base and fine-tuned model make of a question.

    base, tuned: the probability of each choice, a softmax over the scores that accuracy compares; base is None where it
    was random weights. texts: what each of the two writes by itself after the prompt, by name.
    """

    asked: Asked
    base: list[float] | None
    tuned: list[float]
    texts: dict[str, str]


@dataclass(frozen=True)
class Session:
    """The models of a run, ready to be asked in the run's prompt."""

    config: "Config"
    models: "TrainedModel"
    shots: "Shots"
    tokens: int

    def answer(self, asked: Asked) -> Answer:
        """Score the choices with both models, and let both write."""
        texts: dict[str, str] = {}
        base = None
        if self.models.base is not None:
            with self.models.as_base() as model:
                base, texts["base"] = self._probabilities(model, asked), self._writes(model, asked)
        tuned, texts["fine-tuned"] = (
            self._probabilities(self.models.tuned, asked),
            self._writes(self.models.tuned, asked),
        )
        return Answer(asked, base, tuned, texts if self.tokens else {})

    def _probabilities(self, model: Any, asked: Asked) -> list[float]:
        from mcqa.data.tokens import encode
        from mcqa.evaluation.scoring.scorer import score
        from mcqa.models import devices

        encoded = encode(self.models.tokenizer, self.config.prompt_of("test"), [asked.question], self.shots)
        scores = score(model, encoded, None, devices.autocast(self.config.hardware)).scores[0]
        highest = max(scores)
        weights = [math.exp(value - highest) for value in scores]
        return [weight / sum(weights) for weight in weights]

    def _writes(self, model: Any, asked: Asked) -> str:
        """Return what the model writes after the prompt of the first choice, without sampling, up to a line's end."""
        import torch

        from mcqa.data.prompts import requests
        from mcqa.models import devices

        if not self.tokens:
            return ""
        tokenizer = self.models.tokenizer
        before, _ = requests(tokenizer, self.config.prompt_of("test"), asked.question, self.shots)[0]
        inputs = tokenizer(before, return_tensors="pt", return_token_type_ids=False).to(model.device)
        with torch.inference_mode(), devices.autocast(self.config.hardware):
            ids = model.generate(
                **inputs, max_new_tokens=self.tokens, do_sample=False, pad_token_id=tokenizer.pad_token_id
            )
        text = str(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
        return text.strip().partition("\n")[0]


def open_session(run: str, outputs: Path, tokens: int) -> Session:
    """Load a run's models, and the shots where its prompt has some.

    Raises:
        McqaError: there is no such run, or its model cannot be loaded.
    """
    from mcqa.data.loading import load
    from mcqa.data.prompts import Shots
    from mcqa.models.of_run import load_trained, stored_run

    folder, config = stored_run(run, outputs)
    print(f"Loading {config.model.name} and what {config.name} made of it …", file=sys.stderr)
    pool = load(config.data, ["train"]).splits["train"] if config.prompt.shots else []
    return Session(config, load_trained(folder, config), Shots(config.prompt_of("test"), pool), tokens)


def show(answer: Answer) -> None:
    """Print a row for each choice, with the probability that each model gives it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    question = answer.asked.question
    console = Console(highlight=False)
    console.print()
    if question.context:
        console.print(Text(question.context, style="dim"))
    table = Table(title=Text(question.question), title_justify="left", title_style="bold")
    table.add_column("")
    for heading in (["base"] if answer.base else []) + ["fine-tuned"]:
        table.add_column(heading, justify="right", no_wrap=True)
    for number, choice in enumerate(question.choices):
        mark = " (right)" if answer.asked.is_known and number == question.answer else ""
        columns = [values for values in (answer.base, answer.tuned) if values]
        cells = [f"{100 * values[number]:.1f} %{' <' if values[number] == max(values) else '  '}" for values in columns]
        table.add_row(Text(choice + mark), *cells)
    console.print(table)
    for name, text in answer.texts.items():
        console.print(Text(f"{name} writes: {text}"))


if __name__ == "__main__":
    plain_command(main)
