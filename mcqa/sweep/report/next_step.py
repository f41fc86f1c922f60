"""What to do after a study: keep the default, run the best, confirm it, or ask for more trials; with the command."""

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mcqa.config.schema import SEEDS
from mcqa.evaluation.report.formatting import count
from mcqa.evaluation.statistics.clusters import ALPHA
from mcqa.runs import run_folder
from mcqa.runs.duration import duration
from mcqa.sweep.report import best_experiment, sentences
from mcqa.sweep.report.arms import Arm, compare_arms
from mcqa.sweep.report.best_experiment import command_again
from mcqa.sweep.report.confirmation import Confirmation
from mcqa.sweep.report.importances import FEWEST, Importances
from mcqa.sweep.report.seed_variance import varies_only_seed
from mcqa.sweep.report.study_data import StudyRecord
from mcqa.sweep.report.ties import StudyResult

MAX_TIED = 3  # trials that are confirmed, the default beside them: the best and others that are tied with it
NEW_SEEDS = 3  # that are suggested


@dataclass(frozen=True)
class NextStep:
    text: str  # a sentence; what it says is done by the command, if there is one
    command: str | None = None


def next_step(
    study: StudyRecord, result: StudyResult, importances: Importances, confirmation: Confirmation | None
) -> NextStep | None:
    """Return None of a study that is not over, and of a study of seeds."""
    if study.counts["running"] + study.counts["waiting"] + study.counts["paused"] or varies_only_seed(study):
        return None
    best, default, trials = result.best, study.default_trial, len(study.trials)
    if best is None or best.value is None or len(study.complete) < 2:
        if not trials or study.counts["failed"] == trials:
            return None
        more = f"hydra.sweeper.n_trials={2 * trials}"
        return NextStep("Too few trials are complete to compare any: ask for more.", command_again(study, more))
    confirmed = confirmation if confirmation and any(run.values for run in confirmation.configurations) else None
    if arms := [arm for arm in compare_arms(study, result) if arm.best]:
        return _next_of_arms(study, result, arms, confirmed)
    if confirmed:
        return _after_confirmation(study, confirmed, best.number)
    if default is not None and default.number == best.number:
        trial = "trial" if len(study.complete) == trials else "complete trial"
        return _keep(study, importances, f"no {trial} is better.")
    if default is not None and default.value is not None and _is_no_gain(study, result, default.number):
        why = "the best trial is not significantly better, and no better at all once its choice is corrected for."
        return _keep(study, importances, why)
    if _can_be_confirmed(study):
        return NextStep(_confirm(study, result), command_again(study, f"hydra.sweeper.confirm={NEW_SEEDS}"))
    return NextStep("Run the best trial's configuration:", best_experiment.command(study))


def _next_of_arms(
    study: StudyRecord, result: StudyResult, arms: Sequence[Arm], confirmation: Confirmation | None
) -> NextStep | None:
    """Arms are compared with each other, not with the default: new seeds for the best trial of each, and then them."""
    if confirmation is None:
        if not _can_be_confirmed(study):
            return NextStep(f"Run the best trial of {arms[0].name}:", best_experiment.command(study))
        which = f"the best trial of each of {len(arms)} arms" if len(arms) > 1 else f"the best trial of {arms[0].name}"
        what = f"Compare {which} with new seeds, the default beside {'them' if len(arms) > 1 else 'it'}"
        return NextStep(f"{what}: {_cost(study, result)}.", command_again(study, f"hydra.sweeper.confirm={NEW_SEEDS}"))
    names = {arm.best.number: arm.name for arm in arms if arm.best}
    runs = [run for run in confirmation.configurations if run.trial in names and run.values]
    if not runs:
        return NextStep("No arm has a run with new seeds that has ended: see the failures above.")
    places = (Path(os.path.normpath(study.folder / folder)) for run in runs for folder in run.folders)
    folders = [shlex.quote(run_folder.shown(place)) for place in places]
    if len(runs) < 2 or len(folders) < sum(len(run.values) for run in runs):
        return None
    return NextStep(
        "See every question that the arms answer differently, in a comparison of these runs:",
        f"python -m mcqa.compare {' '.join(folders)}",
    )


def _keep(study: StudyRecord, importances: Importances, why: str) -> NextStep:
    """Keep the default; where trials are too few to say which parameters matter, more of them would."""
    if importances.enough or len(study.swept) < 2:
        return NextStep(f"Keep the default: {why}")
    more = f"hydra.sweeper.n_trials={max(2 * FEWEST, 2 * len(study.trials))}"
    return NextStep(
        f"Keep the default: {why} More trials would say which parameters matter:",
        command_again(study, more),
    )


def to_confirm(study: StudyRecord, result: StudyResult) -> list[int]:
    """Return the trials that are worth new seeds: the best and others tied with it, or the best of each arm."""
    if result.best is None:
        return []
    numbers = [result.best.number, *result.tied][:MAX_TIED]
    return [arm.best.number for arm in compare_arms(study, result) if arm.best] or numbers


def _is_no_gain(study: StudyRecord, result: StudyResult, default: int) -> bool:
    """Whether the best is tied with the default and, corrected for its choice, has no higher accuracy."""
    comparison = result.by_trial.get(default)
    if comparison is None or not comparison.tied or result.expected is None:
        return False
    return result.expected <= comparison.accuracy.value


def _can_be_confirmed(study: StudyRecord) -> bool:
    seed = study.base.get("seed")
    swept = any(key.key.lstrip("+") in SEEDS for key in study.swept)
    return isinstance(seed, int) and not isinstance(seed, bool) and not swept


def _confirm(study: StudyRecord, result: StudyResult) -> str:
    """What new seeds would settle, and what they cost. The best on dev is the candidate before test is looked at."""
    numbers = to_confirm(study, result)
    candidate = result.best.number if result.best else numbers[0]
    beside = f", with {len(numbers) - 1} more beside it" if len(numbers) > 1 else ""
    return f"Confirm whether the candidate, trial {candidate}, beats the default{beside}: {_cost(study, result)}."


def _cost(study: StudyRecord, result: StudyResult) -> str:
    """Return such as `6 runs with new seeds measured on test, about 6 min with 1 at a time`."""
    numbers, default = to_confirm(study, result), study.default_trial
    configurations = len({*numbers, default.number if default else None})
    runs = configurations * NEW_SEEDS
    seconds = [trial.seconds for trial in study.complete if trial.seconds is not None]
    jobs = study.description.get("n_jobs")
    at_once = jobs if isinstance(jobs, int) and jobs > 0 else 1
    cost = (
        f", about {duration(math.ceil(runs / at_once) * median(seconds))} with {at_once} at a time" if seconds else ""
    )
    on_test = " measured on test" if study.metric.startswith("dev/") else ""
    return f"{count(runs, 'run')} with new seeds{on_test}{cost}"


def _after_confirmation(study: StudyRecord, confirmation: Confirmation, best: int) -> NextStep:
    """New seeds have the last word: what they show to be better than the default, if anything.

    The candidate, which was named before test was looked at, comes before a trial that is better on test itself.
    """
    if max(len(run.values) for run in confirmation.configurations) < 2 and _can_be_confirmed(study):
        more = command_again(study, f"hydra.sweeper.confirm={NEW_SEEDS}")
        return NextStep("One new seed does not show how much seeds change the result: confirm with three.", more)
    sign = -1 if study.direction == "minimize" else 1
    candidate = best if confirmation.candidate is None else confirmation.candidate
    better = [
        run
        for run in confirmation.configurations
        if run.difference and run.p_holm is not None and run.p_holm < ALPHA and sign * run.difference.value > 0
    ]
    if not better:
        return NextStep("Keep the default: with new seeds nothing is shown to be better.")
    if best == candidate and any(run.trial == best for run in better):
        return NextStep(f"Run trial {best}, which new seeds confirm:", best_experiment.command(study))
    first = max(better, key=lambda run: (run.trial == candidate, sign * run.mean.value))
    values = next((trial.params for trial in study.trials if trial.number == first.trial), {})
    shown = " ".join(f"{key}={sentences.parameter(value)}" for key, value in values.items())
    if first.trial == candidate:
        return NextStep(f"Take trial {first.trial}, the candidate, which new seeds confirm: {shown}.")
    default = next((run.trial for run in confirmation.configurations if run.default), None)
    why = (
        "though the default, which was best on dev, was the candidate"
        if candidate == default
        else f"where the candidate, trial {candidate}, is not"
    )
    where = "test" if confirmation.metric.startswith("test/") else "new seeds"
    return NextStep(
        f"Take trial {first.trial}, significantly better than the default with new seeds {why}: {shown}. It was chosen "
        f"by {where}, so its value there is likely too good."
    )
