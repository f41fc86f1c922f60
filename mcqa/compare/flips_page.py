"""The part of the page that lists questions: how many flip, by subject, and each with both answers."""

from collections.abc import Sequence
from html import escape

from mcqa.compare import sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.flips import KINDS, Answer, Flip, Kind, Subject, by_subject, surest
from mcqa.data.question import Question
from mcqa.evaluation.report.formatting import percent

MOST_LISTS = 4  # pairs whose questions are listed


MOST_LISTED = 600  # questions on the page, so that it stays a page; questions.csv has all


ALWAYS_WRONG = 0.1  # their part of the list


LONGEST_TEXT = 700  # characters of a question, a choice or a passage


_CLASS: dict[Kind, str] = {"newly right": "up", "newly wrong": "down", "always right": "", "always wrong": ""}


def section(comparison: Comparison, pair: Pair, most: int) -> str:
    """Everything about one pair's questions, at most `most` of them listed."""
    names = (comparison.label(pair.before), comparison.label(pair.after))
    subjects = by_subject(comparison.questions, pair.flips)
    listed = _listed(pair, most)
    items = "".join(_question(comparison.questions[flip.index], flip, names) for flip in listed)
    seeds = comparison.several_seeds(pair)
    body = (
        _counts(pair)
        + _net(pair, seeds)
        + _subjects(subjects, seeds)
        + (_filter(listed, comparison) + items if listed else "")
    )
    title = f"Flips from {names[0]} to {names[1]}"
    return f'<section class="flips"><h2>{escape(title)}</h2>{body}{_left_out(pair, listed)}</section>'


def _listed(pair: Pair, most: int) -> list[Flip]:
    """The surest of each kind; newly right and newly wrong share the room that always wrong leaves."""
    always = surest(pair.flips, "always wrong")[: int(most * ALWAYS_WRONG)]
    right, wrong = surest(pair.flips, "newly right"), surest(pair.flips, "newly wrong")
    room = most - len(always)
    of_right = max(room // 2, room - len(wrong))
    return right[:of_right] + wrong[: room - min(len(right), of_right)] + always


def _left_out(pair: Pair, listed: Sequence[Flip]) -> str:
    parts = []
    for kind in ("newly right", "newly wrong", "always wrong"):
        shown, all_of_them = sum(flip.kind == kind for flip in listed), sum(flip.kind == kind for flip in pair.flips)
        if shown < all_of_them:
            parts.append(f"the {shown} surest of {all_of_them} {kind}")
    if not parts:
        return ""
    return f'<p class="note">Listed are {", ".join(parts)}; questions.csv has all.</p>'


def _counts(pair: Pair) -> str:
    boxes = "".join(
        f'<div class="kind {_CLASS[kind]}"><b>{pair.count(kind)}</b><span>{kind}</span></div>' for kind in KINDS
    )
    return f'<div class="kinds">{boxes}</div>'


def _net(pair: Pair, seeds: bool) -> str:
    """Over seeds the counts, which most seeds decide, need not add up to the difference."""
    if not seeds:
        return ""
    return (
        f'<p class="note">Net over seeds: {sentences.net(pair.net, seeds)} questions. Most seeds decide the kind.</p>'
    )


def _subjects(subjects: Sequence[Subject], seeds: bool) -> str:
    if not subjects:
        return ""
    rows = "".join(
        f'<tr><td>{escape(subject.name)}</td><td class="n">{subject.questions}</td>'
        + "".join(f'<td class="n">{subject.counts[kind]}</td>' for kind in KINDS)
        + f'<td class="n">{sentences.net(subject.net, seeds)}</td></tr>'
        for subject in subjects
    )
    heads = "".join(f'<th class="n">{name}</th>' for name in ("questions", *KINDS, "net"))
    table = f'<div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f'<details class="fold"><summary>By subject ({len(subjects)})</summary>{table}</details>'


def _filter(listed: Sequence[Flip], comparison: Comparison) -> str:
    """Needs the page's script, which shows it."""
    kinds = "".join(f"<option>{kind}</option>" for kind in dict.fromkeys(flip.kind for flip in listed))
    names = sorted({comparison.questions[flip.index].subject for flip in listed} - {""})
    subjects = "".join(f"<option>{escape(name)}</option>" for name in names)
    choice = (
        f'<select class="subject-filter" aria-label="subject"><option value="">all subjects</option>{subjects}</select>'
    )
    return (
        '<h3>Questions, the surest first</h3><div class="filter" hidden>'
        '<input class="text-filter" type="search" placeholder="search" aria-label="search">'
        f'<select class="kind-filter" aria-label="kind"><option value="">all kinds</option>{kinds}</select>'
        f'{choice if names else ""}<span class="note count" role="status"></span></div>'
    )


def _question(question: Question, flip: Flip, names: tuple[str, str]) -> str:
    margin = f"{_nats(flip.before)} → {_nats(flip.after)}"
    context = f'<p class="context">{_text(question.context)}</p>' if question.context else ""
    choices = "".join(_choice(question, i, flip, names) for i in range(len(question.choices)))
    about = " · ".join(filter(None, [question.id, question.subject, *_shares(flip, names)]))
    return (
        f'<details class="q" data-kind="{flip.kind}" data-subject="{escape(question.subject)}"><summary>'
        f'<span class="pill {_CLASS[flip.kind]}">{flip.kind}</span><span class="text">{_text(question.question)}</span>'
        f'<span class="margin">{margin}</span></summary><div class="body">{context}'
        f'<ul class="choices">{choices}</ul><p class="note">{_text(about)}</p></div></details>'
    )


def _choice(question: Question, i: int, flip: Flip, names: tuple[str, str]) -> str:
    right = i == question.answer
    by = [name for name, answer in zip(names, (flip.before, flip.after), strict=True) if answer.choice == i]
    return (
        f'<li{" class=right" if right else ""}><span class="tick">{"✓" if right else ""}</span>'
        f'<span class="choice">{_text(question.choices[i])}</span>'
        f'<span class="by">{"← " + escape(" and ".join(by)) if by else ""}</span></li>'
    )


def _shares(flip: Flip, names: tuple[str, str]) -> list[str]:
    """Where the seeds disagree: how many of them are right."""
    both = zip(names, (flip.before, flip.after), strict=True)
    return [f"{name}: right with {percent(one.right)} of its seeds" for name, one in both if 0 < one.right < 1]


def _nats(answer: Answer) -> str:
    return "–" if answer.margin is None else f"{answer.margin:+.2f}".replace("-", "−")


def _text(text: str) -> str:
    return escape(text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…")
