"""Show what a run would do, without doing it: dry_run=true."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from mcqa.config.schema import Config, ConfigDict, batching
from mcqa.config.secrets import without_secrets
from mcqa.config.trainer_args import warmup_steps
from mcqa.data.inspection.shown import question_text
from mcqa.data.loading import Data
from mcqa.data.prompts import Shots
from mcqa.data.quality.report import refuse_meaningless, report_on
from mcqa.data.quality.table import shown
from mcqa.data.question import Question
from mcqa.data.tokens import IGNORE_INDEX, Example, TrainingSet, encode
from mcqa.runs.files import shortened
from mcqa.training.updates import notes, questions_seen

PERCENTILES = (0, 50, 90, 99, 100)
OPEN, CLOSE, LEARNED = "⟦", "⟧", "bold green"  # brackets as well, for eyes and terminals without green


def show_quality(
    console: Console, config: Config, splits: Mapping[str, Sequence[Question]], trains: bool = True
) -> None:
    """Show the report on the questions.

    Raises:
        DataError: as for `refuse_meaningless`.
    """
    if not splits:  # conversations alone
        return
    console.print(shown(report_on(config, splits)))
    refuse_meaningless(config, splits, trains)


def show_training(
    console: Console,
    config: Config,
    config_dict: ConfigDict,
    data: Data,
    training: TrainingSet,
    tokenizer: Any,
    updates: int,
    memory: str,
) -> None:
    """Show the configuration, a question, two training examples, their lengths, what is dropped, and the updates.

    memory: a sentence on the memory that the training needs.
    """
    with _frame(console, config_dict, data, "Nothing was trained: dry_run=true."):
        if questions := data.splits.get("train"):
            console.rule("the first question, as it is read")
            console.print(question_text(questions[0]))
        console.rule("two training examples")
        for example in training.examples[:2]:
            console.print(coloured(example, tokenizer), "")
            if config.objective.prefers:
                worse = example.choices[1]
                console.print(Text(f"against {OPEN}{tokenizer.decode(worse.continuation)}{CLOSE}"), "")
        legend = (" is what is learned; ", ("·", "dim"), " separates tokens")
        console.print(Text.assemble((f"{OPEN}green{CLOSE}", LEARNED), *legend))
        console.rule("lengths")
        console.print(_lengths(training), _dropped(training, config.objective.max_length), sep="\n", markup=False)
        of_stage = f" of stage {config.stages[-1].name}: objective={config.objective.name}" if config.stages else ""
        console.rule(f"training{of_stage}")
        console.print(_plan(config, len(training.examples), updates, data), memory, sep="\n", highlight=False)
        for note in notes(config, len(training.examples)):
            console.print(note, highlight=False, markup=False)


def show_stage(console: Console, name: str, config: Config, data: Data, training: TrainingSet, updates: int) -> None:
    """Show what an earlier stage of a run trains on, and its updates."""
    console.rule(f"stage {name}: objective={config.objective.name}, peft={config.peft.name}")
    examples = len(training.examples)
    console.print(_plan(config, examples, updates, data), *notes(config, examples), sep="\n", highlight=False)


def show_questions(
    console: Console,
    config: Config,
    config_dict: ConfigDict,
    data: Data,
    names: Sequence[str],
    tokenizer: Any,
    shots: Shots,
) -> None:
    """Show the configuration and, for every split and set, the number of questions and the prompt of the first one."""
    end = f"{OPEN}…{CLOSE} is what is scored. Nothing was measured: dry_run=true."
    with _frame(console, config_dict, data, end):
        for name in names:
            questions = data.splits[name]
            console.rule(f"{name}: {len(questions)} question{'s' * (len(questions) != 1)}")
            (choices,) = encode(tokenizer, config.prompt_of(name), questions[:1], shots.of(name))
            if is_shared := all(choice.context == choices[0].context for choice in choices):
                console.print(Text(tokenizer.decode(choices[0].context)))
            for number, choice in enumerate(choices):
                before = "" if is_shared else tokenizer.decode(choice.context)
                text = f"{before}{OPEN}{tokenizer.decode(choice.continuation)}{CLOSE}"
                is_answer = number == questions[0].answer
                console.print(Text(f"{text}  the right answer" if is_answer else text, LEARNED if is_answer else ""))


@contextmanager
def _frame(console: Console, config_dict: ConfigDict, data: Data, end: str) -> Iterator[None]:
    """Show the configuration before the block; after it what was noticed in the data, and `end`."""
    console.rule("configuration")
    text = yaml.safe_dump(without_secrets(shortened(config_dict)), sort_keys=False, allow_unicode=True).strip()
    console.print(Syntax(text, "yaml", theme="ansi_dark"))
    yield
    console.print(*data.notes, *data.warnings, *data.bad_rows, sep="\n", markup=False)
    console.print(Text(end))


def coloured(example: Example, tokenizer: Any) -> Text:
    """Return the example's text, token by token, with the tokens that are learned in green and in brackets."""
    text, inside = Text(), False
    for i, (token, label) in enumerate(zip(example.input_ids, example.labels, strict=True)):
        learned = label != IGNORE_INDEX
        text.append("·" if i else "", style="dim")
        text.append((OPEN if learned else CLOSE) if learned != inside else "", style=LEARNED)
        text.append(tokenizer.decode([token]), style=LEARNED if learned else "")
        inside = learned
    return text.append(CLOSE if inside else "", style=LEARNED)


def _lengths(training: TrainingSet) -> Table:
    from numpy import percentile

    table = Table("tokens")
    for share in PERCENTILES:
        table.add_column({0: "shortest", 50: "median", 100: "longest"}.get(share, f"{share} %"), justify="right")
    table.add_column("all together", justify="right")
    whole = [len(example.input_ids) for example in training.examples]
    learned = [example.supervised for example in training.examples]
    for name, values in (("in an example", whole), ("of them learned", learned)):
        table.add_row(name, *(f"{value:.0f}" for value in percentile(values, PERCENTILES)), f"{sum(values):,}")
    return table


def _dropped(training: TrainingSet, max_length: int) -> str:
    if not training.too_long:
        return f"Nothing is dropped: no example is longer than objective.max_length={max_length} tokens."
    longest = sorted(training.too_long.items(), key=lambda item: -item[1])[:5]
    head = f"{len(training.too_long)} examples are dropped, longer than objective.max_length={max_length} tokens:"
    return "\n".join([head, *(f"  {name}: {length} tokens" for name, length in longest)])


def _plan(config: Config, examples: int, updates: int, data: Data) -> str:
    batch = batching(config)
    counts = ", ".join(f"{split} {len(entries)}" for split, entries in data.entries.items())
    processes = f" over {batch.processes} processes" if batch.processes > 1 else ""
    size, rest = min(batch.batch_size, examples), examples % batch.batch_size
    last = f" (the last of an epoch has {rest})" if 0 < rest < size else ""
    rows = "rows" if data.conversations else "questions"
    return (
        f"{rows.capitalize()}: {counts}; {examples} training examples.\n"
        f"Updates: {updates}, {questions_seen(config, examples, updates) / examples:.3g} epochs, "
        f"the first {warmup_steps(config.scheduler, updates)} of them warm-up.\n"
        f"Each update: {size} {rows}{processes}, at most {min(batch.most, size)} per forward pass{last}; "
        f"learning rate {config.optimizer.learning_rate:g}; "
        f"gradient checkpointing {'on' if config.hardware.gradient_checkpointing is True else 'off'}."
    )
