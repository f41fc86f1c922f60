"""Retrieval: the passages of a collection that are put before a question when a model is measured.

A question is searched for by its text and its own passage, never by its choices: nothing here but `recall` sees them.
Passages are ranked by BM25 with k1 = 1.5 and b = 0.75 in the variant of Lucene, as bm25s computes it (Lù 2024,
arXiv 2407.03618), on the words of words.py.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mcqa.config.schema import EvaluationConfig
from mcqa.data.question import Question
from mcqa.data.texts import read_passages
from mcqa.data.words import questions_within, words

Splits = dict[str, list[Question]]
Parts = Mapping[str, Mapping[str, dict[str, Question]]]


class Bm25:
    """An index of passages."""

    def __init__(self, passages: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it says at every index that it builds one
        self.passages = passages
        self._index: Any = bm25s.BM25(k1=1.5, b=0.75, method="lucene")
        self._index.index([words(passage) or [""] for passage in passages], show_progress=False)

    def best(self, query: str, k: int) -> tuple[str, ...]:
        """Return the k best passages that share a word with the query, the best first; of equal ones the first."""
        import numpy as np

        if not (known := self._index.get_tokens_ids(words(query))):
            return ()
        scores = self._index.get_scores_from_ids(known)
        k = min(k, len(scores))
        lowest = np.partition(scores, -k)[-k]
        candidates = np.flatnonzero((scores >= lowest) & (scores > 0))
        order = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        return tuple(self.passages[index] for index in order)


def add_passages(
    evaluation: EvaluationConfig, splits: Splits, parts: Parts, notes: list[str], warnings: list[str]
) -> dict[str, float]:
    """Give every question of dev, test and further sets its best passages, and return what that says of each split.

    splits, parts, notes, warnings: as in Data, and changed here. The metrics are recall_at_k, recall_at_k_wrong and
    questions_in_passages.

    Raises:
        DataError: as for `read_passages`.
    """
    assert evaluation.passages is not None, "rules.py"
    passages = read_passages(evaluation.passages)
    index, k = Bm25(passages), evaluation.context_k
    notes.append(f"before each question up to {k} of {len(passages)} passages of {evaluation.passages}, by BM25")
    metrics: dict[str, float] = {}
    for split in [name for name in splits if name != "train"]:
        questions = splits[split]
        given = [replace(one, retrieved=index.best(f"{one.context}\n{one.question}", k)) for one in questions]
        splits[split] = given
        by_id = {question.id: question.retrieved for question in given}
        for name, part in parts.get(split, {}).items():
            part |= {id: replace(one, retrieved=by_id.get(f"{name}/{id}", ())) for id, one in part.items()}
        right, wrong = recall(given)
        asked = questions_within(passages, given)
        own = {"recall_at_k": right, "recall_at_k_wrong": wrong, "questions_in_passages": asked}
        metrics |= {f"{split}/{name}": float(value) for name, value in own.items()}
        notes.append(
            f"{split}: the passages contain the right answer's text for {100 * right:.1f} % of {len(given)} questions "
            f"(recall@{k}), and a wrong choice's for {100 * wrong:.1f} %"
        )
        if without := sum(not question.retrieved for question in given):
            notes.append(f"{split}: {without} of {len(given)} questions share no word with any passage and get none")
        if asked:
            warnings.append(
                f"{split}: the passages contain the text of {asked} of {len(given)} questions (evaluation.passages). "
                "Where the answer stands there too, it is looked up and says nothing about other questions."
            )
    return metrics


def recall(questions: Sequence[Question]) -> tuple[float, float]:
    """Return the share of questions whose passages contain the text of the right choice, and the mean share of their
    wrong choices that they contain."""
    right = wrong = 0.0
    for question in questions:
        passages = [f" {' '.join(words(passage))} " for passage in question.retrieved]
        texts = [" ".join(words(choice)) for choice in question.choices]
        contained = [bool(text) and any(f" {text} " in passage for passage in passages) for text in texts]
        is_right = contained[question.answer]
        right += is_right
        wrong += (sum(contained) - is_right) / (len(contained) - 1)
    return right / len(questions), wrong / len(questions)
