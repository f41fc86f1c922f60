"""Rules about the loss and the gradients of training."""

import math
from itertools import pairwise
from statistics import median

from mcqa.evaluation.doctor import robust
from mcqa.evaluation.doctor.findings import Finding
from mcqa.evaluation.doctor.history import FEWEST_POINTS, History

SPIKE_SIGMAS, SPIKE_WINDOW, SPIKE_FEWEST = 6.0, 128, 32
"""OLMo-core's StabilityMonitor: more than six standard deviations above the last 128 updates."""

SPIKE_NEAR = 16
"""The last of those updates, whose median a spike is measured from: the loss may be falling."""

SPIKE_RATIO, SPIKE_HEIGHT = 1.8, 0.1
"""A spike is also 1.8 times its surroundings and a tenth of the loss at the beginning: near zero all is noise."""

LITTLE = 0.03
"""A fall of the loss by less than this share is none."""

LARGEST_BATCH = 32
"""Of the advice: adapters learn less from larger ones (LoRA Without Regret)."""


def slower(history: History) -> str:
    """Return the override with a lower learning rate: the recommended one, or a third where that is what it is."""
    rate, setup = history.setup.learning_rate, history.setup
    if rate is None:
        return ""
    recommended = setup.recommended if setup.factor and setup.factor >= 2 else None
    return f"optimizer.learning_rate={recommended or rate / 3:.3g}"


def not_finite(history: History) -> Finding | None:
    """Losses or gradients that are no numbers; from the first update on. With fp16 the gradient scaler looks for its
    factor by skipping updates whose gradient is infinite."""
    fp16 = history.setup.precision == "fp16"
    bad = [
        one
        for one in history.updates
        if not math.isfinite(one.loss) or (not fp16 and math.isinf(one.grad_norm)) or _is_lost(one.grad_norm, history)
    ]
    if not bad:
        skipped = [one for one in history.updates if fp16 and math.isinf(one.grad_norm)]
        if not skipped:
            return None
        return Finding(
            "updates skipped by fp16",
            "normal",
            f"the gradient of {len(skipped)} of {len(history.updates)} updates was infinite",
            "The gradient scaler of fp16 leaves such updates out while it looks for its factor.",
        )
    before = [one for one in history.updates if one.number < bad[0].number]
    earlier = (
        f"; the update before had a loss of {before[-1].loss:.3g} and a gradient norm of {before[-1].grad_norm:.3g}"
        if before
        else ""
    )
    override = slower(history)
    if history.setup.max_grad_norm is None:
        override = "optimizer.max_grad_norm=1"
    elif fp16:
        override = "hardware.precision=bf16, or fp32"
    elif history.setup.precision == "bf16" and (history.setup.factor or 1) < 3:
        override = "hardware.precision=fp32"
    return Finding(
        "not a number",
        "problem",
        f"loss {bad[0].loss:.3g} and gradient norm {bad[0].grad_norm:.3g} at update {bad[0].number}{earlier}",
        "From there on the weights are no numbers either.",
        override,
    )


def _is_lost(norm: float, history: History) -> bool:
    """Whether a norm is NaN though others are known; a run without norms has NaN everywhere."""
    return math.isnan(norm) and any(not math.isnan(one.grad_norm) for one in history.updates)


def divergence(history: History) -> Finding | None:
    """The loss ends far above its lowest point: more than half of what was gained is lost again, beyond the noise."""
    if not history.has_curve:
        return None
    lost, gained = history.end - history.best, max(0.0, history.start - history.best)
    if lost <= max(0.5 * gained, 3 * history.noise, 0.1 * history.best):
        return None
    return Finding(
        "divergence",
        "problem",
        f"the loss of training began at {history.start:.3g}, fell to {history.best:.3g} and is {history.end:.3g} now "
        f"(noise of an update {history.noise:.2g})",
        "Training lost what it had learned; the updates are too large for this model.",
        slower(history),
    )


def spikes(history: History) -> Finding | None:
    """Single losses far above those before them, by logarithms, whose noise is the same at every height, and around the
    trend. Every update must be known, with 32 before it."""
    losses = [one.loss for one in history.updates]
    if history.every != 1 or len(losses) <= SPIKE_FEWEST or min(robust.finite(losses), default=0) < 0:
        return None
    logarithms = [math.log(max(loss, 1e-9)) if math.isfinite(loss) else math.nan for loss in losses]
    found = []
    for at in range(SPIKE_FEWEST, len(losses)):
        if not math.isfinite(losses[at]):
            continue
        window = robust.finite(logarithms[max(0, at - SPIKE_WINDOW) : at])
        if len(window) < SPIKE_FEWEST or losses[at] < SPIKE_HEIGHT * history.start:
            continue
        middle = median(window[-SPIKE_NEAR:])
        high = logarithms[at] - middle
        if high > math.log(SPIKE_RATIO) and high > SPIKE_SIGMAS * max(robust.noise(window), 0.02):
            found.append((history.updates[at], math.exp(middle)))
    if not found:
        return None
    worst, usual = max(found, key=lambda one: one[0].loss / one[1])
    many = len(found) >= max(3, len(losses) / 100)
    norm = "" if math.isnan(worst.grad_norm) else f", gradient norm {worst.grad_norm:.3g}"
    return Finding(
        "spikes",
        "problem" if many else "hint",
        f"the loss of {len(found)} of {len(losses)} updates is more than {SPIKE_SIGMAS:g} standard deviations above "
        f"the {SPIKE_WINDOW} before; the worst at update {worst.number}: {worst.loss:.3g} after about "
        f"{usual:.3g}{norm}",
        "Single batches throw the model off." if many else "A single batch threw the model off, and it recovered.",
        f"optimizer.max_grad_norm={_clip(history):.2g}" if history.setup.max_grad_norm is None else slower(history),
    )


def _clip(history: History) -> float:
    """Return twice the usual norm, as a limit that touches few updates."""
    norms = robust.finite([one.grad_norm for one in history.updates])
    return 2 * median(norms) if norms else 1.0


def not_learning(history: History) -> Finding | None:
    """The loss has fallen by less than 3 %."""
    if not history.has_curve or divergence(history) or history.start <= 0:
        return None
    if history.start - history.end >= LITTLE * history.start:
        return None
    rate, setup = history.setup.learning_rate, history.setup
    override = ""
    if rate is not None and (setup.factor is None or setup.factor <= 2):
        higher = setup.recommended if setup.factor and setup.factor < 0.5 else rate * 3
        override = f"optimizer.learning_rate={higher:.3g}"
    elif rate is not None:
        override = slower(history)
    return Finding(
        "nothing learned",
        "hint" if history.above_chance else "problem",
        f"the loss of training was {history.start:.3g} at the beginning and is {history.end:.3g} after "
        f"{history.last} updates",
        "The loss has hardly moved."
        + (" Dev is answered better than by guessing, so the base may know all of it." * history.above_chance),
        override,
    )


def plateau(history: History) -> Finding | None:
    """The loss fell, and has not moved in the second half, while the learning rate was still high; from 40 points."""
    losses, rates = history.losses, [one.learning_rate for one in history.updates]
    if len(losses) < 2 * FEWEST_POINTS or not max(rates):
        return None
    third, fourth = losses[len(losses) // 2 : len(losses) * 3 // 4], losses[len(losses) * 3 // 4 :]
    fell = history.start - history.end
    is_flat = abs(median(third) - median(fourth)) < min(0.02 * history.start, max(history.noise, 0.005 * history.start))
    if not is_flat or fell < max(LITTLE * history.start, history.noise) or history.end < 0.3 * history.start:
        return None
    if rates[len(rates) * 3 // 4] < 0.1 * max(rates):
        return None
    measured = [one.accuracy for one in history.dev if one.accuracy]
    is_better = bool(measured and history.base and max(one.low for one in measured) > history.base.value)
    half = history.updates[len(history.updates) // 2].number
    return Finding(
        "plateau",
        "normal" if is_better or not measured else "hint",
        f"from {history.start:.3g} at the beginning the loss fell to {median(third):.3g} by the middle, and since "
        f"update {half} it has stayed there ({median(fourth):.3g} in the last quarter)",
        "More updates of the same kind are unlikely to change much."
        + (" Dev is answered better than before, so this may be all there is to learn." * is_better),
        "" if is_better or not measured else slower(history) if (history.setup.factor or 1) >= 2 else "peft.rank=64",
    )


def staircase(history: History) -> Finding | None:
    """The loss falls at once where the questions are read again; from two epochs of 10 updates."""
    per_epoch, losses = history.setup.updates_per_epoch, [one.loss for one in history.updates]
    if history.every != 1 or not per_epoch or per_epoch < 10 or len(losses) < 2 * per_epoch:
        return None
    if len(robust.finite(losses)) < len(losses):
        return None
    width = min(per_epoch // 2, 20)
    epochs = [losses[at : at + per_epoch] for at in range(0, len(losses) - width + 1, per_epoch)]
    steps = [
        median(before[-width:]) - median(after[:width]) for before, after in pairwise(epochs) if len(after) >= width
    ]
    within = [median(one[:width]) - median(one[-width:]) for one in epochs[1:] if len(one) == per_epoch]
    step = median(steps)
    if step < max(2 * history.noise / math.sqrt(width), 0.05 * history.start, 2 * (median(within) if within else 0)):
        return None
    return Finding(
        "steps between epochs",
        "normal",
        f"the loss of training falls by {step:.3g} where an epoch of {per_epoch} updates begins, and by "
        f"{median(within) if within else 0:.3g} within one",
        "Questions that are read again are remembered. Whether that helps is for dev to say.",
    )


def noisy(history: History) -> Finding | None:
    """The noise of an update is larger than what training changes, and a larger batch is to be had; from 40 points."""
    batch, losses = history.setup.batch_size, history.losses
    if history.every != 1 or not batch or batch >= LARGEST_BATCH or len(losses) < 2 * FEWEST_POINTS:
        return None
    quarter = len(losses) // 4
    first, last = median(losses[:quarter]), median(losses[-quarter:])
    if history.noise <= max(first - last, 0.1 * last) or last < 0.3 * first or not_learning(history):
        return None
    more = min(LARGEST_BATCH, 4 * batch)
    return Finding(
        "noisy updates",
        "hint",
        f"the loss of an update varies by {history.noise:.2g} around its trend, which falls by {first - last:.2g} from "
        f"the first to the last quarter (optimizer.batch_size={batch})",
        "Updates from more questions would go a straighter way.",
        f"optimizer.batch_size={more}",
    )


def zero_gradients(history: History) -> Finding | None:
    """Gradients that are zero after the first ten updates in a fifth of them; before that it is normal."""
    zero = [one.number for one in history.updates if one.grad_norm == 0]
    late = [number for number in zero if number > 10]
    later = sum(one.number > 10 and math.isfinite(one.grad_norm) for one in history.updates)
    if later >= FEWEST_POINTS and len(late) >= 0.2 * later:
        return Finding(
            "zero gradients",
            "problem",
            f"the gradient of {len(late)} of {later} updates after the tenth is zero",
            "Nothing is learned from them: the loss may have reached zero, or no token of the answers is supervised.",
            "dry_run=true, which shows the supervised tokens",
        )
    if not zero and not history.group_zero:
        return None
    of = f"of {', '.join(history.group_zero)}" if history.group_zero and not zero else "of all weights"
    return Finding(
        "zero gradient at the beginning",
        "normal",
        f"the gradient {of} is zero at update {zero[0] if zero else 1}",
        "The matrices B of a new adapter are zero, so at first its matrices A have no gradient."
        if history.group_zero and not zero
        else "A few at the beginning do no harm.",
    )
