"""What a run would do, shown without doing it: dry_run=true."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.console import Console, Group
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from mcqa.config.schema import Batching, Config, batching
from mcqa.config.trainer_args import warmup_steps
from mcqa.data.loading import Data
from mcqa.data.prompts import Shots
from mcqa.data.tokens import IGNORE_INDEX, Example, TrainingSet, encode

PERCENTILES = (0, 50, 90, 99, 100)
OPEN, CLOSE, LEARNED = "⟦", "⟧", "bold green"  # brackets too, for eyes and terminals without green


def show(
    console: Console,
    config: Config,
    tree: Mapping[str, Any],
    data: Data,
    training: TrainingSet,
    tokenizer: Any,
    updates: int,
    memory: str,
) -> None:
    """The configuration, two examples with what is learned in colour, lengths, what is dropped, updates and memory."""
    console.rule("configuration")
    console.print(
        Syntax(yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True).strip(), "yaml", theme="ansi_dark")
    )
    console.rule("two training examples")
    for example in training.examples[:2]:
        console.print(coloured(example, tokenizer), "")
    console.print(
        Text.assemble("in ", (f"{OPEN}green{CLOSE}", LEARNED), " what is learned; ", ("·", "dim"), " parts tokens")
    )
    console.rule("lengths")
    console.print(
        lengths(training),
        dropped(training, config.objective.max_length),
        sep="\n",
    )
    console.print(*data.notes, *data.bad_rows, sep="\n", markup=False)
    console.rule("training")
    console.print(plan(config, len(training.examples), updates, data), memory, sep="\n", highlight=False)
    console.print("Nothing was trained: dry_run=true.")


def show_questions(
    console: Console,
    config: Config,
    tree: Mapping[str, Any],
    data: Data,
    names: Sequence[str],
    tokenizer: Any,
    shots: Shots,
) -> None:
    """The configuration, and of every split and set how many questions there are and how the first one is asked."""
    console.rule("configuration")
    console.print(
        Syntax(yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True).strip(), "yaml", theme="ansi_dark")
    )
    for name in names:
        questions = data.splits[name]
        console.rule(f"{name}: {len(questions)} question{'s' * (len(questions) != 1)}")
        (choices,) = encode(tokenizer, config.prompt, questions[:1], shots)
        console.print(Text(tokenizer.decode(choices[0].context)))
        for number, choice in enumerate(choices):
            right = number == questions[0].answer
            text = f"{OPEN}{tokenizer.decode(choice.continuation)}{CLOSE}"
            console.print(Text(f"{text}  the right one" if right else text, style=LEARNED if right else ""))
    console.print(*data.notes, *data.bad_rows, sep="\n", markup=False)
    console.print(Text.assemble(OPEN, "…", CLOSE, " is what is scored. Nothing was measured: dry_run=true."))


def coloured(example: Example, tokenizer: Any) -> Text:
    """The example's text, token by token, with the supervised ones in green and in brackets."""
    text, inside = Text(), False
    for i, (token, label) in enumerate(zip(example.input_ids, example.labels, strict=True)):
        learned = label != IGNORE_INDEX
        text.append("·" if i else "", style="dim")
        text.append((OPEN if learned else CLOSE) if learned != inside else "", style=LEARNED)
        text.append(tokenizer.decode([token]), style=LEARNED if learned else "")
        inside = learned
    return text.append(CLOSE if inside else "", style=LEARNED)


def lengths(training: TrainingSet) -> Table:
    from numpy import percentile

    shown = Table()
    shown.add_column("tokens")
    for share in PERCENTILES:
        shown.add_column({0: "shortest", 50: "median", 100: "longest"}.get(share, f"{share} %"), justify="right")
    whole = [len(example.input_ids) for example in training.examples]
    learned = [example.supervised for example in training.examples]
    for name, values in (("in an example", whole), ("of them learned", learned)):
        shown.add_row(name, *(f"{value:.0f}" for value in percentile(values, PERCENTILES)))
    return shown


def dropped(training: TrainingSet, max_length: int) -> Group:
    if not training.too_long:
        return Group(f"Nothing is dropped: no example is longer than objective.max_length={max_length} tokens.")
    some = sorted(training.too_long.items(), key=lambda item: -item[1])[:5]
    return Group(
        f"{len(training.too_long)} examples are dropped, longer than objective.max_length={max_length} tokens:",
        *(f"  {name}: {length} tokens" for name, length in some),
    )


def plan(config: Config, examples: int, updates: int, data: Data) -> str:
    batch = batching(config)
    counts = ", ".join(f"{split} {len(questions)}" for split, questions in data.splits.items())
    return (
        f"Questions: {counts}; {examples} training examples.\n"
        f"Updates: {updates}, {updates * batch.batch_size / examples:.1f} epochs, "
        f"the first {warmup_steps(config.scheduler, updates)} of them warm-up.\n"
        f"Each update: {batch.batch_size} questions = {batch.micro_batch_size} per forward pass "
        f"x {batch.accumulation} accumulated{_shared(batch)}; learning rate {config.optimizer.learning_rate:g}."
    )


def _shared(batch: Batching) -> str:
    return f" x {batch.processes} processes" if batch.processes > 1 else ""
