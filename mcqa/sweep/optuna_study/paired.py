"""A pruner that compares trials question by question, at a level that allows for how often it looks.

Trials answer the same dev questions, so that two of them differ only where one is right and the other wrong. A trial
ends where it is significantly worse than the best other one was after a part of its own training. The delay is for slow
learners: with a small learning rate or long warm-up a trial lies far behind at equal points and may still catch up.
"""

from collections.abc import Mapping

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import binomtest

from mcqa.runs.mailbox import Report
from mcqa.sweep.controller.events import Judgement
from mcqa.sweep.optuna_study.pruner import Pruner


class Paired(Pruner):
    """End a trial that answers significantly fewer questions right than the best other trial did at an earlier point.

    The test is an exact sign test of the questions that one of both answers right, one-sided. Its level is divided by
    the number of trials that the best one was chosen from and by the number of points at which a trial is judged
    (Bonferroni): of two trials that are equally good at the points compared, one ends at most this often.

    Args:
        level: of the tests of one trial together.
        min_share: of its training that a trial has done when it is judged first, and its warm-up has ended.
        delay: the best other trial is taken at its last point at or before this share of the trial's own.

    Raises:
        ValueError: for other values than these.
    """

    def __init__(self, level: float = 0.05, min_share: float = 1 / 3, delay: float = 0.5) -> None:
        super().__init__()
        values = {"level": level, "min_share": min_share, "delay": delay}
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
                raise ValueError(f"{name}={value!r} is no number above 0 and at most 1")
        self._level, self._min_share, self._delay = level, min_share, delay

    def judge(self, study: Study, trial: FrozenTrial) -> Judgement:
        return "prune" if self._is_worse(study, trial) else "continue"

    def _is_worse(self, study: Study, trial: FrozenTrial) -> bool:
        if study.direction != StudyDirection.MAXIMIZE:
            return False
        own = self.reports(trial)
        report = own.get(max(trial.intermediate_values))
        if report is None or report.right is None or not report.warm:
            return False
        if report.share is None or not self._min_share <= report.share < 1:
            return False
        others = self._earlier(study, trial.number, self._delay * report.point, len(report.right))
        if not others:
            return False
        best = max(others, key=lambda right: right.count("1"))
        return p_worse(report.right, best) * len(others) * self._looks(own, report) < self._level

    def _earlier(self, study: Study, number: int, latest: float, questions: int) -> list[str]:
        """Return the answers of every other trial at its last point up to `latest`, where it has one."""
        answers = []
        for other in study.get_trials(deepcopy=False):
            if other.number == number or other.state == TrialState.FAIL:
                continue
            reports = self.reports(other)
            points = [point for point, report in reports.items() if point <= latest and report.right is not None]
            right = reports[max(points)].right if points else None
            if right is not None and len(right) == questions:
                answers.append(right)
        return answers

    def _looks(self, own: Mapping[int, Report], report: Report) -> int:
        """Return at how many points the trial is judged before its end, if its points are evenly spaced."""
        assert report.share
        so_far = sum(point <= report.point for point in own)
        return max(1, round(so_far / report.share * (1 - self._min_share)))


def p_worse(right: str, better: str) -> float:
    """Return the p-value of as many questions that only the second one answers right, if both were equally good.

    right, better: a 1 for each question that is answered right, a 0 for each other one.
    """
    lost = sum(one == "0" and other == "1" for one, other in zip(right, better, strict=True))
    won = sum(one == "1" and other == "0" for one, other in zip(right, better, strict=True))
    return float(binomtest(lost, lost + won, alternative="greater").pvalue) if lost + won else 1.0
