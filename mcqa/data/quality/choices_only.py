"""A small model that never sees the question: how often the choices alone give the right answer away.

The score of a choice is the sum of a weight for each of its words and for being the longest or the shortest one; the
probability that it is right is a softmax over the choices of its question (conditional logit: McFadden 1974), with an
L2 penalty on the weights. That choices give answers away, and that a model without the question shows it: Gururangan
et al. 2018 (arXiv:1803.02324), Poliak et al. 2018 (arXiv:1805.01042).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mcqa.data.quality.duplicates import WORD
from mcqa.data.question import Question

MOST_QUESTIONS = 20_000
"""Questions that the weights are fitted to; more cost seconds and change little."""

LEAST_COUNT = 2  # choices that a word is in, to have a weight
PENALTY, STEPS = 1.0, 60
LONGEST, SHORTEST = "\0longest", "\0shortest"


def choices_only_answers(train: Sequence[Question], measured: Sequence[Question]) -> list[bool]:
    """Return for each of the measured questions whether a model that was fitted to the choices of train is right."""
    train = train[:MOST_QUESTIONS]
    counts = Counter(feature for question in train for choice in _features(question) for feature in choice)
    columns = {feature: n for n, feature in enumerate(feature for feature in counts if counts[feature] >= LEAST_COUNT)}
    if not columns:
        return [question.answer == 0 for question in measured]
    weights = _fit(_matrix(train, columns), train)
    scores = np.split(_matrix(measured, columns) @ weights, _starts(measured)[1:])
    return [int(own.argmax()) == question.answer for question, own in zip(measured, scores, strict=True)]


def _features(question: Question) -> list[set[str]]:
    """The words of each choice, and whether it is the longest or shortest one."""
    lengths = [len(choice) for choice in question.choices]
    features = [set(WORD.findall(choice.casefold())) for choice in question.choices]
    for own, length in zip(features, lengths, strict=True):
        if min(lengths) < max(lengths):
            own |= {name for name, at in ((LONGEST, max(lengths)), (SHORTEST, min(lengths))) if length == at}
    return features


def _matrix(questions: Sequence[Question], columns: dict[str, int]) -> Any:
    """A row for each choice of every question, one question after the other, and a column for each feature."""
    from scipy.sparse import csr_matrix

    ends, indices = [0], list[int]()
    for question in questions:
        for own in _features(question):
            indices += sorted(columns[feature] for feature in own if feature in columns)
            ends.append(len(indices))
    return csr_matrix((np.ones(len(indices)), indices, ends), shape=(len(ends) - 1, len(columns)))


def _starts(questions: Sequence[Question]) -> Any:
    """The row of the first choice of each question."""
    return np.cumsum([0, *(len(question.choices) for question in questions[:-1])])


def _fit(matrix: Any, questions: Sequence[Question]) -> Any:
    """Return the weights that minimise the penalised cross-entropy, from 0 on, so that nothing is drawn by chance."""
    from scipy.optimize import minimize

    starts, sizes = _starts(questions), [len(question.choices) for question in questions]
    right = starts + [question.answer for question in questions]
    is_right = np.zeros(matrix.shape[0])
    is_right[right] = 1

    def loss(weights: Any) -> tuple[float, Any]:
        scores = matrix @ weights
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        odds = np.exp(scores)
        totals = np.add.reduceat(odds, starts)
        gradient = matrix.T @ (odds / np.repeat(totals, sizes) - is_right) + PENALTY * weights
        return np.log(totals).sum() - scores[right].sum() + PENALTY / 2 * weights @ weights, gradient

    return minimize(loss, np.zeros(matrix.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
