"""The answer to a study's question in one sentence: which parameters matter, and whether the best beats the default."""

from mcqa.evaluation.report.formatting import ONE_SEED_EACH
from mcqa.sweep.report import sentences
from mcqa.sweep.report.importances import FEWEST, Importances
from mcqa.sweep.report.seed_variance import varies_only_seed
from mcqa.sweep.report.study_data import StudyRecord
from mcqa.sweep.report.ties import StudyResult

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def answer(study: StudyRecord, result: StudyResult, importances: Importances) -> str:
    """Return no more than the numbers warrant; of a study of seeds, or one without a best trial, what there is."""
    if result.best is None or result.best.value is None or varies_only_seed(study):
        return sentences.ties(study, result)
    matter, best = _what_matters(study, importances), _best_and_default(study, result)
    return f"{matter}; {best}." if matter else f"{best[0].upper()}{best[1:]}."


def number(count: int) -> str:
    return WORDS[count] if count < len(WORDS) else str(count)


def _what_matters(study: StudyRecord, importances: Importances) -> str:
    keys = [swept.key for swept in study.swept]
    swept = f"the {number(len(keys))} parameters" if len(keys) > 1 else sentences.short(keys[0], keys) if keys else ""
    if not keys:
        return ""
    if not importances.enough:
        which = f"Which of {swept} matter" if len(keys) > 1 else f"Whether {swept} matters"
        return f"{which} is open: not enough trials to compare, {importances.trials} of at least {FEWEST}"
    where = "" if importances.point is None else f" at {sentences.questions(study, importances.point)}"
    names = [sentences.short(key, keys) for key in importances.matter]
    if len(keys) == 1:
        if not importances.tested:
            return ""  # a list with a trial for each value: the ties say it
        return f"{keys[0]} {'matters' if names else 'is not shown to matter'}{where} in {importances.trials} trials"
    if not names:
        return f"None of {swept} is shown to matter{where} in {importances.trials} trials"
    if len(names) == len(keys):
        return f"All of {swept} matter{where}"
    only = f"only {names[0]} is" if len(names) == 1 else f"{sentences.listed(names)} are"
    return f"Of {swept}, {only} shown to matter{where}"


def _best_and_default(study: StudyRecord, result: StudyResult) -> str:
    best, default = result.best, study.default_trial
    assert best is not None and best.value is not None
    reached = sentences.value(best.value, study.metric)
    if default is None or default.value is None:
        return f"trial {best.number} has the best {study.metric}, {reached}"
    if default.number == best.number:
        trial = "trial" if len(study.complete) == len(study.trials) else "complete trial"
        return f"no {trial} is better than the default, {reached}"
    comparison, its_value = result.by_trial.get(default.number), sentences.value(default.value, study.metric)
    if comparison is None:
        return f"{study.metric} is {reached} at best, in trial {best.number}, and {its_value} with the default"
    if comparison.tied:
        return (
            f"no statistically significant difference between the best, trial {best.number} ({reached}), and the "
            f"default ({its_value})"
        )
    about = f"; {ONE_SEED_EACH}" if sentences.has_seed(study) else ""
    return f"the best, trial {best.number} ({reached}), is significantly better than the default ({its_value}){about}"
