"""How much the value of the best trial promises too much, because the trial was chosen for it.

Bootstrap bias correction (Tsamardinos, Greasidou and Borboudakis 2018, BBC-CV): draw the questions again with
replacement, choose the trial that is best on those drawn, and measure it on those not drawn. The mean of that over many
draws is what the best is worth on new questions. Trials that were pruned were candidates, too, and so was each state of
a trial that was measured: the questions that choose the trial have chosen its checkpoint.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcqa.config.errors import FileError
from mcqa.evaluation.statistics.clusters import FloatArray, cluster_ids
from mcqa.runs.mailbox import Mailbox
from mcqa.sweep.report.study_data import StudyRecord, TrialRecord

RESAMPLES = 2000
BATCH = 2**22  # weights in memory at a time: 32 MiB
FEWEST_CLUSTERS = 10  # of fewer, too few are left out of a draw to measure by
SEED = 0


def expected_accuracy(trials: Sequence[tuple[Sequence[bool], float]], clusters: Sequence[str] | None) -> float | None:
    """Return the accuracy of the best of these trials on new questions; None where there are too few to say.

    Args:
        trials: of each candidate, the best first, whether each question was answered right, and what is added to its
            accuracy: 0 unless the trial ended early.
        clusters: the cluster of each question, drawn as a whole.
    """
    ids, gains = cluster_ids(clusters, len(trials[0][0])), np.array([gain for _, gain in trials])
    sizes = np.bincount(ids)
    if len(trials) < 2 or len(sizes) < FEWEST_CLUSTERS:
        return None
    sums: FloatArray = np.stack([np.bincount(ids, np.asarray(right, float)) for right, _ in trials]).astype(
        float
    )  # [trial][cluster]
    generator, total, draws = np.random.default_rng(SEED), 0.0, 0
    for start in range(0, RESAMPLES, rows := max(1, BATCH // max(len(sizes), len(trials)))):
        drawn = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), min(rows, RESAMPLES - start))
        drawn = drawn[(drawn == 0).any(1)]
        chosen = np.argmax(_means(drawn, sums, sizes) + gains, 1)
        others = _means(drawn == 0, sums, sizes) + gains
        total += float(others[np.arange(len(chosen)), chosen].sum())
        draws += len(chosen)
    return total / draws


def _means(weights: npt.NDArray[Any], sums: FloatArray, sizes: npt.NDArray[np.intp]) -> FloatArray:
    """The accuracy of each trial in each draw."""
    drawn = np.asarray(weights, float)
    return np.asarray((drawn @ sums.T) / (drawn @ sizes)[:, None])


def pruned_candidates(study: StudyRecord, questions: int) -> list[tuple[list[bool], float]]:
    """Return what each pruned trial answered right when it ended, and the accuracy that it would have gained.

    That is what the complete trials gained on average from the same point to their ends, but no more than makes the
    trial as good as the best one. Without the answers in its reports a trial is left out.
    """
    found = []
    for trial in study.trials:
        if trial.status != "pruned" or not trial.reports:
            continue
        right = _answers(trial, questions).get(trial.reports[-1][0])
        if right is not None:
            found.append((right, _gain(study, *trial.reports[-1])))
    return found


def measured_states(trial: TrialRecord, questions: int) -> list[list[bool]]:
    """Return what a trial answered right at each point where it was measured on so many questions.

    The best of these states became the trial's value. There are none where only a part of dev chooses the checkpoint.
    """
    return list(_answers(trial, questions).values())


def _answers(trial: TrialRecord, questions: int) -> dict[int, list[bool]]:
    """By point, where the report has them, the answers to so many questions."""
    try:
        reports = Mailbox(trial.folder).reports()
    except FileError:
        return {}
    texts = {report.point: report.right for report in reports if report.right}
    return {point: [digit == "1" for digit in text] for point, text in texts.items() if len(text) == questions}


def _gain(study: StudyRecord, point: int, value: float) -> float:
    gains = [
        trial.value - dict(trial.reports)[point]
        for trial in study.complete
        if trial.value is not None and point in dict(trial.reports)
    ]
    best = study.complete[0].value or 0.0
    return max(0.0, min(sum(gains) / len(gains) if gains else 0.0, best - value))
