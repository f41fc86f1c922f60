"""The comparison as one HTML file that needs nothing else: no network, no fonts, no libraries."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from mcqa.compare import flips_page, sentences
from mcqa.compare.analysis import Comparison, Pair
from mcqa.compare.configurations import Compared
from mcqa.compare.methods import methods
from mcqa.evaluation.report.formatting import bare, p_value, percent, point_interval, points
from mcqa.evaluation.report.html import definitions, look, notes, section

TEMPLATE = Path(__file__).with_name("page.html")


CAPTIONS = {
    "accuracy": ("Accuracy", "with 95 % interval; strokes: single seeds; dotted: guessing"),
    "differences": ("Differences", "with 95 % interval; filled: more than noise"),
    "subjects": ("Flips by subject", "and net change"),
    "margins": ("How sure, before and after", "a question that crosses an axis flips"),
    "confidence": ("Risk and coverage", "wrong among the surest answers"),
    "reliability": ("Reliability", "accuracy by confidence"),
    "letters": ("Letters", "chosen and recalled, over all orders of the options"),
}


MARGINS_OVER_SEEDS = "mean margins over seeds"


OF_ONE_RUN = ("confidence", "reliability", "letters")  # by the scores as they are, whatever decides the comparison


MOST_PAIRS, MOST_KEYS, LONGEST_VALUE = 100, 150, 120


_THEMED = {
    "#0072b2": "var(--blue)",
    "#d55e00": "var(--vermillion)",
    "#56b4e9": "var(--sky)",
    "#999999": "var(--grey)",
    "#ffffff": "var(--card)",
    "#000000": "currentColor",
    "#b0b0b0": "var(--line)",  # the grid
}


def page(comparison: Comparison, drawn: Mapping[str, str]) -> str:
    """The complete page; `drawn` are the pictures as SVG. Every text from data is escaped."""
    verdict = sentences.verdict(comparison)
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        title=escape(f"Comparison: {verdict}"),
        look=look(),
        measured=escape(sentences.measured(comparison)),
        verdict=escape(verdict),
        notes=notes(sentences.notes(comparison)),
        sections="\n".join(_sections(comparison, drawn)),
    )


def _sections(comparison: Comparison, drawn: Mapping[str, str]) -> Iterator[str]:
    yield section("Configurations", _accuracies(comparison))
    yield _figures(drawn, comparison)
    yield section("Differences", _pairs(comparison))
    shown = comparison.with_first[: flips_page.MOST_LISTS]
    for pair in shown:
        yield flips_page.section(comparison, pair, flips_page.MOST_LISTED // len(shown))
    yield section("What differs", _differing(comparison.compared))
    yield section("Runs", _runs(comparison.compared))
    yield section("How this was computed", definitions(methods(comparison)))


def table(headings: Sequence[str], rows: Iterable[str], numbers: Sequence[int], bar: str | None = None) -> str:
    """`numbers`: the columns whose heading stands to the right; `bar`: the one that a phone has no room for. Rows come
    as finished HTML."""
    head = "".join(
        f"<th{' class=n' if place in numbers else ''}>{escape(heading)}</th>" for place, heading in enumerate(headings)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


# --- configurations and differences -----------------------------------------------------------------------------------


def _accuracies(comparison: Comparison) -> str:
    ends = [end for found in comparison.accuracies for end in (found.low, found.high)] + [comparison.chance]
    low, high = max(0.0, min(ends) - 0.03), min(1.0, max(ends) + 0.03)

    def place(share: float) -> str:
        return f"{100 * (share - low) / (high - low or 1):.2f}%"

    rows = []
    for i, found in enumerate(comparison.accuracies):
        width = f"{100 * (found.high - found.low) / (high - low or 1):.2f}%"
        bar = (
            f'<span class="track"><span class="at" style="left:{place(comparison.chance)}"></span>'
            f'<span class="ci" style="left:{place(found.low)};width:{width}"></span>'
            f'<span class="dot" style="left:{place(found.mean)}"></span></span>'
        )
        interval = f"{bare(found.low)} – {percent(found.high)}"
        rows.append(
            f'<tr><td class="n">{i + 1}</td><td class="label">{escape(comparison.label(i))}</td>'
            f'<td class="n">{len(found.seeds)}</td><td class="n">{percent(found.mean)}</td>'
            f'<td class="n">{interval}</td><td class="bar">{bar}</td><td class="n">{escape(found.group)}</td></tr>'
        )
    scale = f"{100 * low:.0f} to {100 * high:.0f} %"
    headings = ["", "", "seeds", "accuracy", "95 % interval", scale, "group"]
    text = "Configurations that share a letter cannot be told apart. The dotted line is guessing."
    return table(headings, rows, [0, 2, 3, 4, 6], scale) + f'<p class="note">{text}</p>'


def _pairs(comparison: Comparison) -> str:
    """Columns of single runs, and of several seeds, where there are such pairs."""
    columns = _columns(comparison)
    rows = [_pair(comparison, pair, columns.values()) for pair in comparison.pairs[:MOST_PAIRS]]
    rest = len(comparison.pairs) - MOST_PAIRS
    more = f'<p class="note">and {rest} more pairs, in pairs.csv</p>' if rest > 0 else ""
    return table(["", "", *columns], rows, range(2, len(columns) + 2)) + more


def _columns(comparison: Comparison) -> dict[str, Callable[[Pair], str]]:
    """What a pair's cells say, by heading."""
    columns: dict[str, Callable[[Pair], str]] = {
        "points": lambda pair: points(pair.found.points),
        "95 % interval": lambda pair: point_interval(pair.found.low, pair.found.high),
        "p (Holm)" if len(comparison.pairs) > 1 else "p": lambda pair: p_value(pair.p_adjusted),
    }
    if any(pair.found.bootstrap for pair in comparison.pairs):
        columns |= {"bootstrap": _bootstrap, "McNemar p": lambda pair: p_value(pair.found.p_mcnemar)}
    if any(pair.found.from_questions is not None for pair in comparison.pairs):
        columns |= {
            "from questions": lambda pair: _error(pair.found.from_questions),
            "from seeds": lambda pair: _error(pair.found.from_seeds),
        }
    return columns | {
        "flips": lambda pair: sentences.flips(comparison, pair),
        "could show": lambda pair: sentences.from_points(pair.found.smallest),
    }


def _bootstrap(pair: Pair) -> str:
    drawn = pair.found.bootstrap
    return point_interval(drawn.low, drawn.high) if drawn else "–"


def _pair(comparison: Comparison, pair: Pair, cells: Iterable[Callable[[Pair], str]]) -> str:
    labels = f"{comparison.label(pair.after)} against {comparison.label(pair.before)}"
    name = labels if len(comparison.pairs) == 1 else f"{pair.after + 1} against {pair.before + 1}"
    numbers = "".join(f'<td class="n">{escape(cell(pair))}</td>' for cell in cells)
    return f'<tr><td class="label" title="{escape(labels)}">{escape(name)}</td><td>{_reading(pair)}</td>{numbers}</tr>'


def _error(share: float | None) -> str:
    """A standard error in points."""
    return "–" if share is None or share != share else f"± {100 * share:.1f}"


def _reading(pair: Pair) -> str:
    if not pair.apart:
        return '<span class="pill">within noise</span>'
    way = "up" if pair.found.points > 0 else "down"
    return f'<span class="pill {way}">more than noise</span>'


# --- pictures ---------------------------------------------------------------------------------------------------------


def _figures(drawn: Mapping[str, str], comparison: Comparison) -> str:
    shown = "".join(_figure(name, svg, comparison) for name, svg in drawn.items())
    return f'<div class="figures">{shown}</div>' if shown else ""


def _figure(name: str, svg: str, comparison: Comparison) -> str:
    kind, _, number = name.partition("_")
    title, meaning = CAPTIONS[kind][0], _meaning(kind, comparison)
    title = f"{title}, {number}" if number else title
    return f"<figure><figcaption>{title} <span>{meaning}</span></figcaption>{_inline(svg, name)}</figure>"


def _meaning(kind: str, comparison: Comparison) -> str:
    if kind == "margins" and comparison.several_seeds(comparison.with_first[0]):
        return MARGINS_OVER_SEEDS
    seeds = any(len(found.seeds) > 1 for found in comparison.accuracies)
    of = f"; by acc (summed scores){', of the first seed' if seeds else ''}" if kind in OF_ONE_RUN else ""
    return CAPTIONS[kind][1] + of


def _inline(svg: str, name: str) -> str:
    """An SVG file as a part of the page: ids of its own, the page's colours and letters."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', rf'<svg viewBox="\1" role="img" aria-label="{name}">', svg, count=1
    )
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"\b(id=\"|href=\"#|url\(#)", rf"\g<1>{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", svg)
    svg = re.sub(r"font: ([\d.]+px) inherit", r"font-size: \1", svg)
    svg = re.sub(r"#[0-9a-f]{6}", lambda found: _THEMED.get(found[0], found[0]), svg)
    return svg.replace("<text ", '<text fill="currentColor" ')


# --- what differs -----------------------------------------------------------------------------------------------------


def _differing(compared: Compared) -> str:
    numbers = [str(i + 1) for i in range(len(compared.configurations))]
    parts = []
    if compared.differing:
        parts.append(_keys(numbers, dict(list(compared.differing.items())[:MOST_KEYS])))
    else:
        parts.append("<p>No key of the configuration but what is measured.</p>")
    if compared.speed_only:
        parts.append("<h3>Speed and extra measurements only</h3>" + _keys(numbers, compared.speed_only))
    return "".join(parts)


def _keys(numbers: Sequence[str], keys: Mapping[str, tuple[str, ...]]) -> str:
    rows = [
        f'<tr><td class="key">{escape(key)}</td>'
        + "".join(f'<td class="key">{escape(_cut(value))}</td>' for value in values)
        + "</tr>"
        for key, values in keys.items()
    ]
    return table(["", *numbers], rows, [])


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[: LONGEST_VALUE - 1]}…"


def _runs(compared: Compared) -> str:
    rows = [
        f'<tr><td class="n">{number}</td><td class="key">{escape(run.shown)}</td><td>{escape(str(run.seed))}</td>'
        f'<td class="key">{escape(str(run.environment.get("git_commit") or "–")[:8])}</td></tr>'
        for number, configuration in enumerate(compared.configurations, 1)
        for run in configuration.runs
    ]
    return table(["", "run", "seed", "commit"], rows, [0])
