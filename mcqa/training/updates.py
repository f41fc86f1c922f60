"""How many updates a training has, and after which of them dev is measured."""

import math

from mcqa.config.schema import Config, batching


def updates_per_epoch(config: Config, examples: int) -> int:
    """Return the number of updates in an epoch; the last one may have fewer questions."""
    return math.ceil(examples / batching(config).batch_size)


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
