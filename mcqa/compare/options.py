"""The command line of mcqa.compare: runs, and options as key=value."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from mcqa.config.errors import ConfigError, listing, nearest
from mcqa.config.metric_names import HIGHER_IS_BETTER
from mcqa.config.schema import EvaluationConfig

if TYPE_CHECKING:
    from mcqa.evaluation.metrics import ClusterBy

MEANS = ("acc_orders", "consistency")  # neither right nor wrong question by question


METRICS = tuple(name for name in HIGHER_IS_BETTER if name not in MEANS)


CLUSTERS: tuple[str, ...] = get_args(get_type_hints(EvaluationConfig)["cluster"])


FEWEST_RESAMPLES, MOST_RESAMPLES = 100, 1_000_000  # below, 2.5 % of them are no number to speak of


@dataclass(frozen=True)
class Options:
    """What to compare (`runs` as they were typed), by what, and where it goes."""

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


def _text(text: str) -> str:
    if not text:
        raise ValueError("needs a value")
    return text


KNOWN = {
    "split": _Option("test", _text, "whose predictions: test, dev, base/test (before training), a further set's name"),
    "metric": _Option("acc", _one_of(METRICS), f"what decides right or wrong: {', '.join(METRICS)}"),
    "cluster": _Option(
        "auto",
        _one_of(CLUSTERS),
        "who goes together: auto (fact or passage, else 10 subjects or more), passage, subject, none",
    ),
    "out": _Option("", _text, "folder for the page and the tables; default <outputs>/compare/<time>-<random>"),
    "track": _Option("false", _truth, "also keep it in MLflow, as a run named compare beside the first run"),
    "resamples": _Option("10000", _resamples, "of the paired bootstrap"),
    "outputs": _Option("outputs", _text, "where an MLflow run id is looked up first"),
    "tracking_uri": _Option("", _text, "MLflow's server or database; default sqlite:///<outputs>/mlflow.db"),
    "dry_run": _Option("false", _truth, "say what would be compared and stop"),
}

HELP = """Compare finished runs question by question: how much they differ, whether that is noise, and where.

  python -m mcqa.compare RUN                       one run before and after training
  python -m mcqa.compare RUN RUN                   two runs on the same questions
  python -m mcqa.compare outputs/runs/mine/*       many; runs that differ in nothing but the seed are pooled

RUN is a run folder (outputs/runs/<name>/<id>, of mcqa.train or mcqa.evaluate) or an MLflow run id.

Options (key=value):
""" + "\n".join(f"  {name + '=' + option.default:<18} {option.meaning}" for name, option in KNOWN.items())


def parse(arguments: Sequence[str]) -> Options:
    """
    Raises:
        ConfigError: with everything wrong on the command line at once.
    """
    runs, given, problems = _sorted_out(arguments)
    values: dict[str, Any] = {}
    for name, option in KNOWN.items():
        text = given.get(name, option.default)
        try:
            values[name] = option.read(text) if name in given or text else None
        except ValueError as error:
            problems.append(f"{name}={text}: {error}.")
    if not runs:
        problems.append(f"no run is named. {_runs_to_try(Path(given.get('outputs') or 'outputs'))}")
    if problems:
        raise ConfigError(listing(problems))
    outputs = Path(values.pop("outputs")).expanduser().absolute()
    out = Path(values.pop("out") or outputs / "compare" / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}")
    return Options(tuple(runs), outputs=outputs, out=out.expanduser().absolute(), **values)


def _sorted_out(arguments: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """The runs, the options by name, and what is neither. A folder may have `=` in its name."""
    runs: list[str] = []
    given: dict[str, str] = {}
    problems: list[str] = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            problems.append(f"{argument}: unknown; options are key=value, and --help lists them.")
        elif not equals or Path(argument).is_dir():
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
    """Raises ConfigError where `out` would put its files into a run or cannot be a folder; makes nothing."""
    if (options.out / "config.yaml").exists():
        raise ConfigError(f"out={options.out}: a run lies there; name a folder of its own for the comparison.")
    if not options.out.is_dir() and options.out.exists():
        raise ConfigError(f"out={options.out}: that is a file, not a folder.")
