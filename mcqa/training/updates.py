"""How many updates a training has, and after which of them dev is measured."""

import math

from mcqa.config.schema import Config, batching


def updates_per_epoch(config: Config, examples: int) -> int:
    """The last update of an epoch takes what is left."""
    return math.ceil(examples / batching(config).batch_size)


def total_updates(config: Config, examples: int) -> int:
    """Updates of the whole training: epochs' worth, or max_steps where that is less."""
    objective = config.objective
    limit = objective.max_steps if objective.max_steps is not None else math.inf
    epochs = objective.epochs if objective.epochs is not None else math.inf
    return int(
        max(
            1,
            min(math.ceil(updates_per_epoch(config, examples) * epochs) if epochs < math.inf else limit, limit),
        )
    )


def questions_seen(config: Config, examples: int, update: int) -> int:
    """Questions read until the end of this update, counted over all epochs."""
    epochs, rest = divmod(update, updates_per_epoch(config, examples))
    return epochs * examples + min(rest * batching(config).batch_size, examples)


def evaluation_points(config: Config, examples: int) -> dict[int, int]:
    """The updates after which dev is measured, the last one always among them, each with its point.

    Points are numbers of questions seen. Those of `k/epoch` depend on no batch size, so runs of different batch sizes
    are compared at equal points: each is measured at the first update at or past a point.
    """
    total, every = total_updates(config, examples), config.evaluation.every
    last = {total: questions_seen(config, examples, total)}
    if isinstance(every, int):
        return {update: questions_seen(config, examples, update) for update in range(every, total + 1, every)} | last
    times, found = int(every.removesuffix("/epoch")), dict[int, int]()
    for k in range(1, last[total] * times // examples + 1):
        if point := round(k * examples / times):
            epochs, rest = divmod(point - 1, examples)
            update = epochs * updates_per_epoch(config, examples) + rest // batching(config).batch_size + 1
            found[update] = point
    return last | found
