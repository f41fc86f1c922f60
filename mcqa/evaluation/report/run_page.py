"""run.html: what a run was and what came out, in one HTML file that needs nothing else, read from the run folder."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from mcqa.config.commands import COMMANDS
from mcqa.config.composition import defaults
from mcqa.config.metric_names import SPLITS
from mcqa.config.schema import ConfigDict
from mcqa.config.secrets import redact, without_secrets
from mcqa.evaluation import predictions
from mcqa.evaluation.calibration import probabilities
from mcqa.evaluation.conversations import BESIDE_QUESTIONS
from mcqa.evaluation.forgetting import NAME
from mcqa.evaluation.metrics import chance_accuracy, cluster_names
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report import charts, stages, tables
from mcqa.evaluation.report.charts.style import svg
from mcqa.evaluation.report.charts.training import curve_figures
from mcqa.evaluation.report.curves import curves_of
from mcqa.evaluation.report.formatting import config_value, count, cut, more_seeds, percent, percent_interval
from mcqa.evaluation.report.html import Scale, inline, render
from mcqa.evaluation.statistics import PairedDifference, mcnemar
from mcqa.runs import chain, run_folder
from mcqa.runs.duration import duration
from mcqa.runs.files import flatten, read_json, read_optional, read_yaml, shortened, write_text
from mcqa.runs.record import Record

FILE = "run.html"
TEMPLATE = Path(__file__).with_name("run_page.html")

MOST_LISTED = 600  # wrong answers on the page, so that a browser can hold it; wrong_<set>.json has all
LONGEST_TEXT, LONGEST_VALUE = 700, 160  # characters of a question, a choice or a passage; of a value
MOST_ROWS = 20  # of a table that is not folded
SCALE_MARGIN = 0.03  # on both sides of the intervals
NOT_SETTINGS = ("outputs", "dry_run", "resume")
"""Keys that say where a run lies and how it was started."""

PILLS = {"problem": "down", "hint": "up", "normal": ""}  # by severity of a finding of the doctor

FILES = {
    "train.log": "what was on the screen",
    "evaluate.log": "what was on the screen",
    "config.yaml": "the whole configuration",
    "environment.json": "commit, packages, machine, fingerprints",
    "quality.json": "what was found in the questions",
    "doctor.json": "what stands out in the run's log",
    "predictions": "every question with the score of each choice",
    "pictures": "the charts as PNG",
    "model": "adapter or model, tokenizer, model card",
}


class Row(NamedTuple):
    """An accuracy with its interval, for a row of a table."""

    label: str
    acc: float
    low: float
    high: float
    normalised: float
    questions: int


class Wrong(NamedTuple):
    """A question that was answered wrong. kind: whether the base had it right; base: None where none was measured."""

    kind: str
    row: Prediction
    base: Prediction | None


class Subject(NamedTuple):
    """Accuracy on the questions of a subject; base: that of the base, if it was measured."""

    name: str
    questions: int
    base: float | None
    acc: float
    low: float
    high: float


@dataclass(frozen=True)
class RunFolder:
    """What a run folder has. result: as result.json has it, which is written when the page is there already."""

    folder: Path
    result: Mapping[str, Any]

    @cached_property
    def config(self) -> ConfigDict:
        return run_folder.config_of(self.folder)

    @property
    def metrics(self) -> Mapping[str, float]:
        metrics: Mapping[str, float] = self.result["metrics"]
        return metrics

    @property
    def is_evaluation(self) -> bool:
        """Whether it is a run of mcqa.evaluate, which has `splits`."""
        return "splits" in self.config

    @property
    def trained(self) -> bool:
        """Whether it has trained something, and measured its base beside that."""
        return not self.is_evaluation and self.config["objective"]["name"] != "none"

    @cached_property
    def predictions(self) -> dict[str, list[Prediction]]:
        """The predictions by name, such as base/test; those of the base only where they are not those of the run."""
        found = {}
        for path in sorted((self.folder / "predictions").glob("*.jsonl")):
            name = f"base/{path.stem[5:]}" if path.stem.startswith("base_") else path.stem
            if f"{name}/acc" in self.metrics and (self.trained or not name.startswith("base/")):
                found[name] = predictions.read(path)
        return found

    @property
    def names(self) -> list[str]:
        """What the run is judged by: test, then the further sets; of an evaluation everything that was measured."""
        own = [name for name in self.predictions if not name.startswith("base/")]
        if not self.is_evaluation:
            own = [name for name in own if name not in ("train", "dev")]
        return sorted(own, key=lambda name: (name not in SPLITS, name != "test"))

    @property
    def shown(self) -> str:
        return run_folder.shown(self.folder)


def write(record: Record) -> None:
    """Write run.html of a run that is about to end, say where it is, and have the tracker keep it."""
    path = record.folder / FILE
    write_text(path, page_of(RunFolder(record.folder, record.result_so_far())))
    record.keep(path)
    record.say(f"As a page: {run_folder.shown(path)}")


def redraw(folder: Path) -> Path:
    """Write run.html of a run that has ended again, from what its folder has, and return its path.

    Raises:
        FileError: its configuration cannot be read. DataError: its predictions cannot.
    """
    path = folder / FILE
    write_text(path, page_of(RunFolder(folder, {**run_folder.NO_RESULT, **run_folder.read_result(folder)})))
    return path


def page_of(run: RunFolder) -> str:
    """Return the complete page."""
    headline, remarks = _headline(run)
    accuracies, scale = _accuracies(run), _scale(run)
    return render(
        TEMPLATE,
        title=f"{run.config['name']}: {headline}",
        subject=_subject(run),
        verdict=headline,
        remarks=remarks,
        trained=run.trained,
        accuracies=accuracies,
        stages=stages.rows(run.folder, run.metrics, run.result),
        stage_columns=[(heading, "label" if heading in ("", "objective") else "n") for heading in stages.COLUMNS],
        stage_caption=stages.CAPTION,
        scale=scale,
        whole=Scale(0.0, 1.0),
        scale_name=f"{100 * scale.low:.0f} to {100 * scale.high:.0f} %",
        chance=_chance(run),
        dev_chose=any("dev" in row.label for row in accuracies) and run.trained,
        loss_columns=[(heading, "n" if heading else "label") for heading in tables.LOSS_COLUMNS],
        losses=tables.loss_rows(run.metrics, _losses(run)),
        loss_caption=tables.LOSS_CAPTION,
        findings=_findings(run),
        pills=PILLS,
        figures=list(_figures(run)),
        subjects={name: rows for name in run.names if (rows := _subjects(run, name))},
        most_rows=MOST_ROWS,
        calibration_columns=[(heading, "n" if heading else "label") for heading in tables.CALIBRATION_COLUMNS],
        calibration=tables.calibration_rows(run.metrics, _calibrated(run)),
        calibration_caption=tables.CALIBRATION_CAPTION,
        wrong_lists=_wrong_lists(run),
        typed=_typed(run),
        settings=_settings(run),
        configuration=yaml.safe_dump(
            without_secrets(shortened(run.config)), sort_keys=False, allow_unicode=True
        ).strip(),
        environment=_environment(run),
        commands=_commands(run),
        files={name: about for name, about in FILES.items() if (run.folder / name).exists()},
        shorten=lambda text: cut(text, LONGEST_TEXT),
        percent=percent,
        interval=lambda row: percent_interval(row.low, row.high),
        shares=_shares,
        sure=_sure,
    )


# --- the result -------------------------------------------------------------------------------------------------------


def _subject(run: RunFolder) -> str:
    """What was run, in a line above the result."""
    model, data = (run_folder.short_name(run.config, group) for group in ("model", "data"))
    parts = [run.config["name"], model, data]
    if run.trained:
        parts.append(str(run.config["peft"]["name"]))
    if run.result.get("seconds"):
        parts.append(duration(run.result["seconds"]))
    return " · ".join([*parts, run.folder.name])


def _headline(run: RunFolder) -> tuple[str, list[str]]:
    """Return the result in a sentence, as the terminal shows it, and what to keep in mind."""
    remarks: list[str] = []
    if (looks := run.result.get("first_look")) and isinstance(looks, dict):
        remarks.append(tables.first_look({name: (look["questions"], look["of"]) for name, look in looks.items()}))
    remarks += [] if run.trained or run.is_evaluation else [tables.UNTRAINED]
    remarks += run.result.get("warnings") or []
    if left_out := run.result.get("measurements_left_out"):
        remarks.append(f"{count(left_out, 'measurement')} of dev left out during training (evaluation.max_time_share).")
    if run.trained and run.names:
        sentences = {name: _verdict(run, name) for name in run.names if f"base/{name}" in run.predictions}
        alone = len(sentences) == 1
        texts = [text if alone else f"{name}: {text}" for name, text in sentences.items()]
        if texts:
            first, *others = texts
            more = [] if alone else ["Each set is tested by itself; p-values are not adjusted for their number."]
            return first, [*others, *more, *_details(run), *tables.preferred(run.metrics, _losses(run)), *remarks]
    if run.names:
        shares = [
            f"{percent(run.metrics[f'{name}/acc'])} right on {name} (95 % interval "
            f"{tables.interval(run.metrics, f'{name}/acc')})"
            for name in run.names
        ]
        return "; ".join(shares), [*_details(run), *remarks]
    losses = tables.loss_rows(run.metrics, _losses(run))
    return "; ".join(f"Loss {loss} ({name})" for name, loss, *_ in losses) or "Nothing was measured", [
        *tables.preferred(run.metrics, _losses(run)),
        *remarks,
    ]


def _paired(run: RunFolder, name: str) -> PairedDifference:
    before, after = run.predictions[f"base/{name}"], run.predictions[name]
    names = cluster_names([row.question for row in after], run.config["evaluation"]["cluster"])
    return mcnemar([row.correct for row in before], [row.correct for row in after], names)


def _verdict(run: RunFolder, name: str) -> str:
    chance = chance_accuracy([row.question for row in run.predictions[name]])
    return tables.verdict(_paired(run, name), chance, tables.begun_from(run.config["model"].get("run")))


def _details(run: RunFolder) -> Iterator[str]:
    """What else was measured on the first set, and what a test of this size finds."""
    name = run.names[0]
    if f"base/{name}" in run.predictions and (finds := tables.what_a_test_finds(_paired(run, name))):
        yield finds
    yield from tables.details(run.metrics, name)
    after = run.predictions.get("test", [])
    if after and (paired := stages.all_together(run.folder, after, run.config["evaluation"]["cluster"])) is not None:
        yield stages.sentence(run.folder, paired, after)


def _labels(run: RunFolder) -> dict[str, str]:
    """What was measured by its name in the metrics, and what it is called in tables."""
    names, labels = run.names, dict[str, str]()
    if not run.is_evaluation and "dev" in run.predictions:
        names = [*names, "dev"]
    if not run.trained:
        return {name: name for name in names}
    before = chain.stage_before(run.folder)
    base = "base" if before is None else f"after {before.name}"
    for name in names:
        labels |= {f"base/{name}": f"{base} on {name}", name: f"fine-tuned on {name}"}
    return {name: label for name, label in labels.items() if f"{name}/acc" in run.metrics}


def _accuracies(run: RunFolder) -> list[Row]:
    rows = []
    for name, label in _labels(run).items():
        acc, low, high, normalised = (
            run.metrics[f"{name}/{key}"] for key in ("acc", "acc_ci_low", "acc_ci_high", "acc_norm")
        )
        rows.append(Row(label, acc, low, high, normalised, round(run.metrics[f"{name}/n"])))
    return rows


def _chance(run: RunFolder) -> float | None:
    return chance_accuracy([row.question for row in run.predictions[run.names[0]]]) if run.names else None


def _scale(run: RunFolder) -> Scale:
    """The range of all accuracies and of guessing."""
    ends = [end for row in _accuracies(run) for end in (row.low, row.high)]
    ends += [chance] if (chance := _chance(run)) is not None else []
    return Scale(max(0.0, min(ends, default=0) - SCALE_MARGIN), min(1.0, max(ends, default=1) + SCALE_MARGIN))


def _losses(run: RunFolder) -> dict[str, str]:
    """The prefix in the metrics of the conversations of each split, and of general text, and what to call it."""
    prefixes = [f"{base}{split}" for split in (*SPLITS, NAME) for base in ("base/", "")]
    rows = {}
    for prefix in prefixes:
        inner = f"{prefix}/{BESIDE_QUESTIONS}"
        found = inner if f"{inner}/perplexity" in run.metrics else prefix
        if f"{found}/perplexity" in run.metrics:
            rows[found] = f"base on {prefix[5:]}" if prefix.startswith("base/") else f"fine-tuned on {prefix}"
    return rows if run.trained else {prefix: prefix for prefix in rows}


def _calibrated(run: RunFolder) -> dict[str, str]:
    """Of dev the temperature is fitted; runs of earlier versions have no interval."""
    rows = {name: label for name, label in _labels(run).items() if f"{name}/ece_debiased" in run.metrics}
    return {name: label for name, label in rows.items() if run.is_evaluation or name not in ("dev", "base/dev")}


def _findings(run: RunFolder) -> list[dict[str, str]]:
    """Return what doctor.json has, the worst first; nothing where there is none or it is damaged."""
    try:
        found = read_json(run.folder / "doctor.json")
    except (OSError, ValueError):
        return []
    keys = ("name", "severity", "evidence", "meaning", "override")
    return [{key: str(one.get(key) or "") for key in keys} for one in found if isinstance(one, dict)]


# --- charts and subjects ----------------------------------------------------------------------------------------------


def _figures(run: RunFolder) -> Iterator[tuple[str, str, Any]]:
    """Yield the title, the explanation and the SVG of each chart."""
    from markupsafe import Markup

    drawn: dict[tuple[str, str], Any] = {}
    if run.trained:
        curves = curve_figures(curves_of(run.folder, run.metrics, _chance(run)))
        drawn |= {(name, ""): curves[name] for name in ("accuracy", "loss", *curves) if name in curves}
    cluster = run.config["evaluation"]["cluster"]
    for name in run.names:
        temperature, base = run.metrics.get(f"{name}/temperature"), run.predictions.get(f"base/{name}", [])
        figures = charts.evaluation_figures(name, run.predictions[name], cluster, temperature, base)
        drawn |= {(chart, name): figure for chart, figure in figures.items()}
    for (chart, name), figure in drawn.items():
        heading, explanation = charts.CAPTIONS[chart]
        heading = f"{heading} on {name}" if name else heading
        yield heading, explanation, Markup(inline(svg(figure), f"{chart}-{name}" if name else chart))


def _subjects(run: RunFolder, name: str) -> list[Subject]:
    """Return a row for each subject, the least accurate first."""
    cluster = run.config["evaluation"]["cluster"]
    before = {row["subject"]: row["acc"] for row in tables.subjects(run.predictions.get(f"base/{name}", []), cluster)}
    rows = [
        Subject(row["subject"], row["n"], before.get(row["subject"]), row["acc"], row["acc_ci_low"], row["acc_ci_high"])
        for row in tables.subjects(run.predictions[name], cluster)
    ]
    return sorted(rows, key=lambda row: row.acc)


# --- the wrong answers ------------------------------------------------------------------------------------------------


def _wrong_lists(run: RunFolder) -> list[dict[str, Any]]:
    """Return for each set the questions that were answered wrong, the most confident first, and how many there are."""
    lists, most = [], MOST_LISTED // max(1, len(run.names))
    for name in run.names:
        before = {row.question.id: row for row in run.predictions.get(f"base/{name}", [])}
        rows = [row for row in run.predictions[name] if not row.correct]
        wrong = [Wrong(_kind(base := before.get(row.question.id)), row, base) for row in rows]
        wrong.sort(key=lambda one: _confidence(one.row), reverse=True)
        kinds = {kind: sum(one.kind == kind for one in wrong) for kind in dict.fromkeys(one.kind for one in wrong)}
        subjects = sorted({one.row.question.subject for one in wrong[:most]} - {""})
        lists.append(
            {
                "name": name,
                "questions": len(run.predictions[name]),
                "all": len(wrong),
                "kinds": kinds,
                "subjects": subjects,
                "shown": wrong[:most],
            }
        )
    return lists


def _kind(base: Prediction | None) -> str:
    if base is None:
        return "wrong"
    return "newly wrong" if base.correct else "always wrong"


def _confidence(row: Prediction) -> float:
    """The probability of the answer; a score that is not a number is the worst mistake."""
    return 2.0 if row.prediction is None else max(probabilities(row))


def _sure(row: Prediction) -> str:
    """How sure the model is of its answer."""
    return "no score" if row.prediction is None else f"{100 * _confidence(row):.0f} % sure"


def _shares(row: Prediction | None) -> list[str]:
    """Return the probability of each choice as text; dashes where a score is not a number."""
    if row is None:
        return []
    if row.prediction is None:
        return ["–"] * len(row.scores)
    return [f"{100 * share:.1f} %" for share in probabilities(row)]


# --- configuration, environment, commands -----------------------------------------------------------------------------


def _typed(run: RunFolder) -> str:
    """Return the command that started the run."""
    try:
        overrides = read_yaml(run.folder / "overrides.yaml") or []
    except (OSError, ValueError, yaml.YAMLError):
        overrides = []
    command = "mcqa.evaluate" if run.is_evaluation else "mcqa.train"
    return redact(f"python -m {command} {shlex.join(map(str, overrides))}".strip())


def _settings(run: RunFolder) -> list[list[str]]:
    """Return each key with its value and its default, of those that differ from a run without options."""
    own = flatten(without_secrets(run.config))
    usual = flatten(without_secrets(defaults("evaluate" if run.is_evaluation else "config")))
    changed = [key for key in own if key not in NOT_SETTINGS and own[key] != usual.get(key, own[key])]
    changed += [key for key in own if key not in usual and key not in NOT_SETTINGS and own[key] not in (None, [], {})]
    return [[key, _value(own[key]), _value(usual[key]) if key in usual else "–"] for key in sorted(changed)]


def _value(value: Any) -> str:
    return cut(config_value(value), LONGEST_VALUE)


def _environment(run: RunFolder) -> list[list[str]]:
    found = flatten(without_secrets(read_optional(run.folder / "environment.json")))
    rows = [[key, _value(value)] for key, value in found.items() if value not in (None, {}, [])]
    if peak := run.result.get("peak_memory_bytes"):
        rows.append(["peak memory", f"{peak / 2**30:.1f} GiB"])
    return rows


def _commands(run: RunFolder) -> list[tuple[str, str]]:
    """Return what can be done next, and the command for it."""
    folder, named = shlex.quote(run.shown), ["test"] if "test" in run.names else run.names[:1]
    if not run.trained:
        commands = [("Compare it with another run, question by question", f"compare {folder} <run folder>")]
        return [(what, f"python -m mcqa.{command}") for what, command in commands]
    order = run.config.get("order_seed") is not None
    whole = run_folder.shown(run_folder.chain_of(run.folder) or run.folder)
    again = more_seeds(whole, run.config["seed"], order_is_fixed=order).removeprefix("python -m mcqa.")
    commands = [
        ("Is it better, and is that significant: before and after, question by question", f"compare {folder}"),
        ("How much does the seed matter: two more", again),
        *(
            ("Look at what it got wrong, with base and fine-tuned side by side", f"ask {folder} wrong={n}")
            for n in named
        ),
        ("Ask it questions of your own", f"ask {folder}"),
        ("Measure it on other questions", f"evaluate run={folder} data=arc_easy"),
        ("Use it elsewhere: one model that transformers and vLLM load", f"export {folder}"),
        ("What stands out in its log", f"doctor {folder}"),
    ]
    return [(what, f"python -m mcqa.{command}") for what, command in commands if command.split()[0] in COMMANDS]
