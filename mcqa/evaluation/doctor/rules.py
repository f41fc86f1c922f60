"""All rules, over a whole run and over one that goes on."""

from collections.abc import Callable

from mcqa.evaluation.doctor import answer_rules, loss_rules, step_rules
from mcqa.evaluation.doctor.findings import Finding, ordered
from mcqa.evaluation.doctor.history import History

Rule = Callable[[History], Finding | None]

RULES: tuple[Rule, ...] = (
    loss_rules.not_finite,
    loss_rules.divergence,
    loss_rules.spikes,
    loss_rules.not_learning,
    answer_rules.chance,
    answer_rules.uniform,
    answer_rules.one_letter,
    answer_rules.worse_than_base,
    answer_rules.forgetting,
    answer_rules.overfitting,
    loss_rules.zero_gradients,
    loss_rules.noisy,
    loss_rules.plateau,
    step_rules.never_decayed,
    step_rules.clipped,
    step_rules.few_updates,
    loss_rules.staircase,
    step_rules.warm_up,
)
"""Every rule but that of the learning rate, which asks what the others have found."""

WHILE_TRAINING: tuple[Rule, ...] = (loss_rules.not_finite, loss_rules.divergence, loss_rules.spikes)
"""Rules whose findings are worth a warning before training ends; one more looks at each measurement's answers."""


def diagnose(history: History) -> list[Finding]:
    """Return what all rules find in a run, the worst first."""
    found = [finding for rule in RULES if (finding := rule(history))]
    rate = step_rules.learning_rate(history, {one.name for one in found if one.severity != "normal"})
    return ordered([rate, *found] if rate else found)


def diagnose_running(history: History) -> list[Finding]:
    """Return what is worth a warning while training goes on."""
    return [one for rule in WHILE_TRAINING if (one := rule(history)) and one.severity != "normal"]
