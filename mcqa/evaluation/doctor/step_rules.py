"""Rules about how large and how many the steps of training are."""

from collections.abc import Collection
from statistics import median

from mcqa.evaluation.doctor import robust
from mcqa.evaluation.doctor.findings import Finding
from mcqa.evaluation.doctor.history import ADAM_LIKE, FEWEST_POINTS, History

FEWEST_UPDATES = 100
"""As in training/updates.py: adapters learn little in fewer (LoRA Without Regret)."""

FAR = 3.0
"""How many times the recommended learning rate is far from it."""

TOO_HIGH = {
    "not a number",
    "divergence",
    "spikes",
    "nothing learned",
    "plateau",
    "accuracy of guessing",
    "all answers the same",
    "worse than the base",
}
"""Symptoms of a learning rate that is too high, where it is."""

TOO_LOW = {"nothing learned", "plateau"}


def learning_rate(history: History, symptoms: Collection[str]) -> Finding | None:
    """A learning rate three times the recommended one or a third of it: a problem with a symptom, else a note; from one
    update."""
    setup = history.setup
    if (factor := setup.factor) is None or 1 / FAR < factor < FAR or not history.updates:
        return None
    ratio = max(factor, 1 / factor)
    shown_ratio = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"
    times = f"{shown_ratio} times" if factor > 1 else f"1/{shown_ratio} of"
    evidence = (
        f"optimizer.learning_rate={setup.learning_rate:.3g} is {times} the {setup.recommended:.3g} recommended for "
        "this model and peft"
    )
    override = f"optimizer.learning_rate={setup.recommended:.3g}"
    shown = sorted((TOO_HIGH if factor > 1 else TOO_LOW).intersection(symptoms))
    if factor < 1 and not shown and still_falling(history):
        shown = ["the loss was still falling as fast at the end"]
    if not shown:
        return Finding(
            "unusual learning rate", "normal", evidence, "Nothing in this run says that it is wrong.", override
        )
    name = f"learning rate too {'high' if factor > 1 else 'low'}"
    return Finding(name, "problem", f"{evidence}; beside it: {', '.join(shown)}", "It is a likely cause.", override)


def still_falling(history: History) -> bool:
    """Whether the last quarter brought a fifth of the whole fall of the loss."""
    if not history.has_curve:
        return False
    losses, quarter = history.losses, len(history.losses) // 4
    fall = median(losses[-2 * quarter : -quarter]) - median(losses[-quarter:])
    return fall > max(0.2 * (history.start - history.end), history.noise / 2)


def never_decayed(history: History) -> Finding | None:
    """The last learning rate is that of the middle; from 20 updates, once training has ended as planned."""
    rates = [one.learning_rate for one in history.updates]
    if not history.ended or history.last < FEWEST_POINTS or not max(rates) or rates[-1] < 0.9 * max(rates):
        return None
    planned = history.setup.planned
    early = planned is not None and history.last < 0.9 * planned
    return Finding(
        "learning rate never decayed",
        "normal" if early else "hint",
        f"it was {rates[-1]:.3g} at the last of {history.last} updates, and at most {max(rates):.3g} "
        f"(scheduler={history.setup.scheduler})",
        f"Training ended before its schedule of {planned} updates did."
        if early
        else "A learning rate that falls to zero averages out the noise of the last updates.",
        "" if early else "scheduler=cosine",
    )


def clipped(history: History) -> Finding | None:
    """More than half of the gradients are longer than optimizer.max_grad_norm.

    AdamW divides by the size of gradients, so that a constant factor changes nothing: it is a hint only where the limit
    is a tenth of the usual norm, or where the optimizer does not divide.
    """
    limit, norms = history.setup.max_grad_norm, robust.finite([one.grad_norm for one in history.updates])
    if limit is None or len(norms) < FEWEST_POINTS:
        return None
    share, usual = sum(norm > limit for norm in norms) / len(norms), median(norms)
    if share <= 0.5:
        return None
    far = usual > 10 * limit or history.setup.optimizer not in ADAM_LIKE
    return Finding(
        "gradients clipped",
        "hint" if far else "normal",
        f"{100 * share:.0f} % of {len(norms)} gradients were longer than optimizer.max_grad_norm={limit:g}; their "
        f"median is {usual:.3g}",
        "Nearly every gradient has the same length, so rare large ones are no longer held back more than others."
        if far
        else "The optimizer divides by the size of gradients, so this changes little.",
        f"optimizer.max_grad_norm={2 * usual:.2g}" if far else "",
    )


def few_updates(history: History) -> Finding | None:
    """Fewer than 100 updates, at the end of training."""
    if not history.ended or not 0 < history.last < FEWEST_UPDATES:
        return None
    return Finding(
        "few updates",
        "hint",
        f"{history.last} update{'s' * (history.last != 1)}",
        f"Fewer than {FEWEST_UPDATES} teach little, most of all an adapter.",
        "a larger objective.epochs (and objective.max_steps=null), or a smaller optimizer.batch_size",
    )


def warm_up(history: History) -> Finding | None:
    """The first update has the learning rate zero."""
    if not history.updates or history.updates[0].number != 1 or history.updates[0].learning_rate != 0:
        return None
    if history.last == 1 or not any(one.learning_rate for one in history.updates):
        return None
    return Finding(
        "learning rate zero at the beginning",
        "normal",
        "the first update has a learning rate of 0",
        "The warm-up begins there, so that update changes nothing.",
    )
