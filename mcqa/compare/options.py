"""The command line of mcqa.compare: runs, and options as key=value."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from mcqa.config.errors import ConfigError, listing, nearest, quoted
from mcqa.config.metric_names import HIGHER_IS_BETTER
from mcqa.config.schema import EvaluationConfig
from mcqa.config.secrets import url_problem
from mcqa.config.validation import path_problem

if TYPE_CHECKING:
    from mcqa.evaluation.metrics import ClusterBy

MEANS = ("acc_orders", "consistency")  # of several orders: no question is right or wrong under them
METRICS = tuple(name for name in HIGHER_IS_BETTER if name not in MEANS)
CLUSTERS: tuple[str, ...] = get_args(get_type_hints(EvaluationConfig)["cluster"])
FEWEST_RESAMPLES, MOST_RESAMPLES = 100, 1_000_000  # of fewer, the ends of an interval are two or three resamples


@dataclass(frozen=True)
class Options:
    """What to compare (`runs` as they were typed), by which metric, and where the result is written."""

    runs: tuple[str, ...]
    split: str
    metric: str
    cluster: "ClusterBy"
    resamples: int
    outputs: Path
    out: Path
    tracking_uri: str | None
    track: bool
    dry_run: bool
    margin: float | None
    plan: float | None
    seed_sd: float | None
    sets: tuple[str, ...] | None


class _Option(NamedTuple):
    default: str
    read: Callable[[str], Any]
    meaning: str


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _one_of(known: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"must be one of {', '.join(known)};{nearest(text, known)}".rstrip(";"))
        return text

    return read


def _resamples(text: str) -> int:
    if not (text.isascii() and text.isdigit() and FEWEST_RESAMPLES <= int(text) <= MOST_RESAMPLES):
        raise ValueError(f"must be a whole number from {FEWEST_RESAMPLES} to {MOST_RESAMPLES}")
    return int(text)


def _points(text: str) -> float:
    """Percentage points, as a share."""
    try:
        share = float(text) / 100
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ValueError("must be a number of points above 0 and below 100")
    return share


def _sets(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if names != ("all",) and (len(set(names)) < len(names) or len(names) < 2 or "" in names):
        raise ValueError("must be all, or two or more names with commas between, each once")
    return names


def _text(text: str) -> str:
    if not text:
        raise ValueError("needs a value")
    return text


def _path(text: str) -> str:
    if problem := path_problem(text):
        raise ValueError(problem.removesuffix("."))
    return text


KNOWN = {
    "split": _Option("test", _text, "whose predictions: test, dev, base/test (before training), a further set's name"),
    "metric": _Option("acc", _one_of(METRICS), f"what decides right or wrong: {', '.join(METRICS)}"),
    "cluster": _Option(
        "auto",
        _one_of(CLUSTERS),
        "what related questions share: auto (fact or passage), subject, none",
    ),
    "margin": _Option("", _points, "points that do not matter: is one not worse by more, are both equivalent (TOST)"),
    "plan": _Option("", _points, "points to be shown: how many seeds and questions that takes, and the commands"),
    "seed_sd": _Option("", _points, "for plan: points of standard deviation between seeds; default: as seen, else 1"),
    "sets": _Option("", _sets, "several of these, as test,arc_easy, or all: each set, and their macro average"),
    "out": _Option("", _path, "folder for the page and the tables; default <outputs>/compare/<time>-<random>"),
    "track": _Option("false", _truth, "also log it to MLflow, as a run named compare beside the first run"),
    "resamples": _Option("10000", _resamples, "number of resamples of the paired bootstrap"),
    "outputs": _Option("outputs", _path, "where an MLflow run id is looked up first"),
    "tracking_uri": _Option("", _text, "MLflow's server or database; default sqlite:///<outputs>/mlflow.db"),
    "dry_run": _Option("false", _truth, "say what would be compared and stop"),
}

HELP = """Compare finished runs question by question: how much they differ, whether that is significant, and where.

  python -m mcqa.compare RUN                       one run before and after training
  python -m mcqa.compare RUN RUN                   two runs on the same questions
  python -m mcqa.compare outputs/runs/mine/*       many; runs that differ only in the seed are pooled

RUN is a run folder (outputs/runs/<name>/<id>, of mcqa.train or mcqa.evaluate) or an MLflow run id.

Options (key=value):
""" + "\n".join(f"  {name + '=' + option.default:<18} {option.meaning}" for name, option in KNOWN.items())


def parse(arguments: Sequence[str]) -> Options:
    """Return the options of a command line.

    Raises:
        ConfigError: all problems of the command line.
    """
    runs, given, problems = _split_up(arguments)
    values: dict[str, Any] = {}
    for name, option in KNOWN.items():
        text = given.get(name, option.default)
        try:
            values[name] = option.read(text) if name in given or text else None
        except ValueError as error:
            problems.append(f"{name}={quoted(text)[1:-1]}: {error}.")
    if problem := url_problem("tracking_uri", given.get("tracking_uri", "")):
        problems.append(problem)
    if values.get("seed_sd") is not None and "plan" not in given:
        problems.append("seed_sd: only plan= uses it; name the points of difference that are to be shown, as plan=1.")
    if not runs:
        problems.append(f"no run is named. {_runs_to_try(Path(values.get('outputs') or 'outputs'))}")
    if problems:
        raise ConfigError(listing(problems))
    outputs = Path(values.pop("outputs")).expanduser().absolute()
    out = Path(values.pop("out") or outputs / "compare" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
    return Options(tuple(runs), outputs=outputs, out=out.expanduser().absolute(), **values)


def _split_up(arguments: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """The runs, the options by name, and the problems. A folder may have `=` in its name."""
    runs: list[str] = []
    given: dict[str, str] = {}
    problems: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            problems.append(f"{argument}: unknown; options are key=value, and --help lists them.")
        elif not equals or (path_problem(argument) is None and Path(argument).is_dir()):
            runs.append(argument)
        elif name not in KNOWN:
            problems.append(f"{name}: unknown option; known are {', '.join(KNOWN)}.{nearest(name, KNOWN)}")
        elif name in given:
            problems.append(f"{name}: given twice, as {given[name]} and {value}.")
        else:
            given[name] = value
    return runs, given, problems


def _runs_to_try(outputs: Path) -> str:
    latest = sorted(outputs.glob("runs/*/*/result.json"), key=lambda path: path.stat().st_mtime, reverse=True)[:3]
    if not latest:
        return "Name a run folder, such as outputs/runs/<name>/<id>, or an MLflow run id; --help says more."
    return f"The latest are {', '.join(str(path.parent) for path in latest)}."


def check_out(options: Options) -> None:
    """Check the folder of the result without creating it.

    Raises:
        ConfigError: `out` is a run's folder, or a file.
    """
    if (options.out / "config.yaml").exists():
        raise ConfigError(f"out={options.out}: this is a run's folder; name a separate folder for the comparison.")
    if not options.out.is_dir() and options.out.exists():
        raise ConfigError(f"out={options.out}: this is a file, not a folder.")
