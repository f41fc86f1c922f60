"""Easy questions first (objective.curriculum=easy_first): in the first epoch, and in none of the others.

Easy is what the base answers with a large margin before it is trained: the score of the right choice less that of the
best wrong one, summed log-probabilities as acc compares them. A curriculum goes back to Bengio et al. 2009 (ICML);
Hacohen & Weinshall 2019 (arXiv:1904.03626) rank examples by a model's own confidence. Later epochs are shuffled as they
are without it, so that both differ in the order of the first epoch alone.
"""

import math
from collections.abc import Sequence

from mcqa.evaluation.predictions import Prediction


def margin(row: Prediction) -> float:
    """Return by how much the right choice leads, below 0 where it does not; minus infinity without a number."""
    if any(map(math.isnan, row.scores)):
        return -math.inf
    answer = row.question.answer
    return row.scores[answer] - max(row.scores[:answer] + row.scores[answer + 1 :])


def easy_first(rows: Sequence[Prediction]) -> list[int]:
    """Return the numbers of the questions, the one with the largest margin first; equal ones as they stand."""
    return sorted(range(len(rows)), key=lambda number: -margin(rows[number]))
