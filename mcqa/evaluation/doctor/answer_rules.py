"""Rules about how dev is answered."""

from string import ascii_uppercase

from mcqa.evaluation.doctor import loss_rules, robust
from mcqa.evaluation.doctor.findings import Finding
from mcqa.evaluation.doctor.history import Answers, History, Measurement

FEWEST_ANSWERS = 20
"""Questions without which nothing is said about which choices are picked."""

FEWEST_MEASURED = 100
"""Questions that make the interval of an accuracy narrow enough to say that it is that of guessing."""

SAME = 0.95
"""Share of equal answers that counts as all."""


def one_letter(history: History) -> Finding | None:
    """All answers are the same position, though the right ones are not; from 20 questions."""
    return None if history.answers is None else same_answer(history.answers, history.setup.letters)


def same_answer(answers: Answers, letters: bool) -> Finding | None:
    """Return the finding of answers alone, for a measurement while training."""
    if sum(answers.picked.values()) < FEWEST_ANSWERS:
        return None
    position = max(answers.picked, key=lambda one: answers.picked[one])
    share = answers.picked[position] / sum(answers.picked.values())
    right = answers.right.get(position, 0) / answers.questions
    if share < SAME or right > 0.8:
        return None
    what = f"letter {ascii_uppercase[position]}" if letters and position < 26 else f"choice {position + 1}"
    return Finding(
        "all answers the same",
        "problem",
        f"{what} is the answer to {100 * share:.0f} % of {sum(answers.picked.values())} questions, and right for "
        f"{100 * right:.0f} %",
        "The model answers by position and not by what the choices say.",
        "objective=choice" if letters else "prompt=letters, or another model",
    )


def _measured(history: History) -> Measurement | None:
    """Return the last measurement of dev, where enough questions are behind it."""
    enough = history.questions is not None and history.questions.questions >= FEWEST_MEASURED
    return history.dev[-1] if enough and history.dev and history.has_curve else None


def chance(history: History) -> Finding | None:
    """Dev is answered no better than by guessing at every measurement, while the loss of training falls by a tenth."""
    last, questions = _measured(history), history.questions
    if last is None or last.accuracy is None or questions is None or history.above_chance:
        return None
    if history.start - history.end < max(0.1 * history.start, 3 * history.noise / len(history.losses) ** 0.5):
        return None
    return Finding(
        "accuracy of guessing",
        "problem",
        f"dev is answered with {last.accuracy} after {last.update} updates, guessing gives {questions.chance:.3f}; the "
        f"loss of training fell from {history.start:.3g} to {history.end:.3g}",
        "The model learns how answers look, or the training questions themselves, and not which choice is right. Are "
        "the right answers of train marked well?",
        loss_rules.slower(history) if (history.setup.factor or 1) >= 3 else "objective=choice, or a larger model",
    )


def uniform(history: History) -> Finding | None:
    """The choices are equally likely: the loss over the choices is ln K within 2 %, and accuracy that of guessing."""
    last, questions = _measured(history), history.questions
    compares = history.setup.letters or history.setup.objective in ("choice", "choice_only")
    if last is None or last.nll is None or questions is None or not compares or history.above_chance:
        return None
    if abs(last.nll - questions.ln_choices) > 0.02 * questions.ln_choices:
        return None
    rate = history.setup.learning_rate
    return Finding(
        "loss of guessing",
        "problem",
        f"the choices of dev have a loss of {last.nll:.3f} nats after {last.update} updates, and equally likely ones "
        f"have ln K = {questions.ln_choices:.3f}",
        "To the model all choices are equally likely: it has not learned to choose.",
        "" if rate is None else f"optimizer.learning_rate={rate * 3:.3g}, or a larger model",
    )


def overfitting(history: History) -> Finding | None:
    """The loss of dev has risen by 5 % and beyond its noise since its lowest point, while that of training fell; from
    three measurements. Accuracy counts only beyond its interval."""
    dev = [one for one in history.dev if one.loss is not None]
    losses = [one.loss for one in dev if one.loss is not None]
    if len(losses) < 3:
        return None
    at = losses.index(min(losses))
    rise = losses[-1] - losses[at]
    is_lasting = len(losses) - at > 2 and losses[-2] > losses[at]
    if rise < (0.05 if is_lasting else 0.1) * losses[at] or at == len(losses) - 1:
        return None
    if len(losses) >= 5 and rise < 2 * robust.noise(losses):
        return None
    then, now = history.around(dev[at].update), history.around(dev[-1].update)
    if then is None or now is None or now > 0.97 * then:
        return None
    best, last = dev[at].accuracy, dev[-1].accuracy
    fell = best is not None and last is not None and last.high < best.low
    accuracy = "" if best is None or last is None else f"; accuracy was {best} then and is {last}"
    epochs = history.setup.updates_per_epoch and dev[at].update / history.setup.updates_per_epoch
    return Finding(
        "overfitting",
        "problem" if fell else "hint",
        f"the loss of dev was lowest at update {dev[at].update} ({losses[at]:.3g}) and is {losses[-1]:.3g} at update "
        f"{dev[-1].update}, while that of training fell from {then:.3g} to {now:.3g}{accuracy}",
        "The model remembers training questions at the expense of new ones."
        if fell
        else "The model grows surer of its training questions than new ones bear out; accuracy has not fallen beyond "
        "its interval.",
        f"objective.epochs={max(1, round(epochs))} or evaluation.patience=2" if epochs else "evaluation.patience=2",
    )


def worse_than_base(history: History) -> Finding | None:
    """Training made the answers worse, beyond the interval: of test, paired, or of the last measurement of dev."""
    last = history.dev[-1].accuracy if history.dev else None
    if history.gain is not None:
        if history.gain.high >= 0:
            return None
        evidence = f"training changed the accuracy on test by {history.gain}"
    elif last is not None and history.base is not None and last.high < history.base.low:
        evidence = f"dev is answered with {last}, and the base answered it with {history.base}"
    else:
        return None
    return Finding(
        "worse than the base",
        "problem",
        evidence,
        "The base answers these questions better than what was made of it.",
        "" if history.setup.learning_rate is None else f"optimizer.learning_rate={history.setup.learning_rate / 3:.3g}",
    )


def forgetting(history: History) -> Finding | None:
    """Training made the answers to further sets, which it is not trained on, worse beyond the interval of each."""
    lost = {name: gain for name, gain in history.elsewhere.items() if gain.high < 0}
    if not lost:
        return None
    changes = ", ".join(f"{name} by {gain}" for name, gain in lost.items())
    return Finding(
        "forgetting",
        "hint",
        f"training changed the accuracy on {changes}",
        "The base answers these sets better than what was made of it.",
        "objective.replay_share=0.1 with data.general_texts, peft=lora, or a smaller learning rate",
    )
