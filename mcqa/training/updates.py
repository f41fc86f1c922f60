"""How many updates a training has, whether they suit its questions, and after which of them dev is measured."""

import math
from collections.abc import Iterator

from mcqa.config.schema import Config, Recommended, batching

MOST_QUESTIONS, FEWEST_UPDATES = 32, 100
"""Of an update, and of a training: adapters learn less from large batches, and little in fewer updates (LoRA Without
Regret, Schulman & Thinking Machines 2025; TRL's guide to it)."""


def updates_per_epoch(config: Config, examples: int) -> int:
    """Return the number of updates in an epoch; the last one may have fewer questions."""
    return math.ceil(examples / batching(config).batch_size)


def recommended(questions: int) -> Recommended:
    """Return the batch size and epochs of data.recommended for a set of so many training questions.

    Small sets are read four times, large ones twice. The batch is the largest power of two up to MOST_QUESTIONS with
    which that makes FEWEST_UPDATES.
    """
    epochs = 4 if questions < 1000 else 3 if questions <= 10_000 else 2
    sizes = [1 << power for power in range(MOST_QUESTIONS.bit_length())]
    enough = [size for size in sizes if math.ceil(questions / size) * epochs >= FEWEST_UPDATES]
    return Recommended(max(enough, default=1), epochs)


def total_updates(config: Config, examples: int) -> int:
    """Return the updates of the whole training: all epochs, or max_steps where that is less, and at least one."""
    objective = config.objective
    limits = [] if objective.max_steps is None else [objective.max_steps]
    if objective.epochs is not None:
        limits.append(math.ceil(updates_per_epoch(config, examples) * objective.epochs))
    return max(1, min(limits))


def questions_seen(config: Config, examples: int, update: int) -> int:
    """Return how many questions were read until the end of this update, counted over all epochs."""
    epochs, rest = divmod(update, updates_per_epoch(config, examples))
    return epochs * examples + min(rest * batching(config).batch_size, examples)


def notes(config: Config, examples: int) -> list[str]:
    """Return a line, with what to do, for each way in which the updates are not what they seem or too few."""
    return [*_notes_on_end(config, examples), *_notes_on_batch(config, examples)]


def _notes_on_end(config: Config, examples: int) -> Iterator[str]:
    objective, total = config.objective, total_updates(config, examples)
    if objective.max_steps is not None and objective.max_steps > total:
        yield (
            f"objective.max_steps={objective.max_steps} has no effect: objective.epochs={objective.epochs:g} ends the "
            f"training after {total} updates; for {objective.max_steps}, add objective.epochs=null."
        )


def _notes_on_batch(config: Config, examples: int) -> Iterator[str]:
    batch, total = batching(config), total_updates(config, examples)
    if batch.batch_size > examples:
        yield (
            f"An update of optimizer.batch_size={batch.batch_size} is more than the {examples} training examples: each "
            "update is a whole epoch."
        )
    if total >= FEWEST_UPDATES:
        return
    few = f"{total} update{'s' * (total != 1)}: fewer than {FEWEST_UPDATES} teach little, most of all an adapter"
    if config.objective.max_steps is not None and config.objective.max_steps == total:
        yield f"{few}; objective.max_steps={total} ends the training."
        return
    epochs = config.objective.epochs or 1
    for size in range(min(batch.batch_size, MOST_QUESTIONS), 0, -1):
        updates = math.ceil(math.ceil(examples / size) * epochs)
        if updates >= FEWEST_UPDATES and size % batch.processes == 0:
            yield f"{few}; optimizer.batch_size={size} makes them {updates}."
            return
    yield f"{few}; take more questions, or a larger objective.epochs than {epochs:g}."


def longest_share(config: Config) -> float | None:
    """Return evaluation.max_time_share; None where the learning rate follows dev, which must not depend on time."""
    return None if config.scheduler.name in ("reduce_on_plateau",) else config.evaluation.max_time_share


def evaluation_points(config: Config, examples: int) -> dict[int, int]:
    """Return the updates after which dev is measured, always including the last one, each with its point.

    A point is a number of questions seen. Those of `k/epoch` do not depend on the batch size, so runs of different
    batch sizes are compared at equal points: each is measured at the first update that reaches a point.
    """
    total, every = total_updates(config, examples), config.evaluation.every
    last = {total: questions_seen(config, examples, total)}
    if isinstance(every, int):
        return {update: questions_seen(config, examples, update) for update in range(every, total + 1, every)} | last
    times, points = int(every.removesuffix("/epoch")), dict[int, int]()
    for k in range(1, last[total] * times // examples + 1):
        if point := round(k * examples / times):
            epochs, rest = divmod(point - 1, examples)
            update = epochs * updates_per_epoch(config, examples) + rest // batching(config).batch_size + 1
            points[update] = point
    return last | points
