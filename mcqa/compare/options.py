"""The command line of mcqa.compare: runs, and options as key=value."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, get_args, get_type_hints

from mcqa.config import plain_options
from mcqa.config.errors import ConfigError, listing
from mcqa.config.metric_names import HIGHER_IS_BETTER
from mcqa.config.plain_options import Option, file_path, help_lines, one_of, some_text, truth, whole_number
from mcqa.config.schema import EvaluationConfig
from mcqa.config.secrets import url_problem
from mcqa.runs import run_folder

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


KNOWN = {
    "split": Option("test", some_text, "whose predictions: test, dev, base/test (before training), a further set"),
    "metric": Option("acc", one_of(METRICS), f"what decides right or wrong: {', '.join(METRICS)}"),
    "cluster": Option(
        "auto",
        one_of(CLUSTERS),
        "what related questions share: auto (fact or passage), subject, none",
    ),
    "margin": Option("", _points, "points that do not matter: is one not worse by more, are both equivalent (TOST)"),
    "plan": Option("", _points, "points to be shown: how many seeds and questions that takes, and the commands"),
    "seed_sd": Option("", _points, "for plan: points of standard deviation between seeds; default: as seen, else 1"),
    "sets": Option("", _sets, "several of these, as test,arc_easy, or all: each set, and their macro average"),
    "out": Option("", file_path, "folder for the page and the tables; default <outputs>/compare/<time>-<random>"),
    "track": Option("false", truth, "also log it to MLflow, as a run named compare beside the first run"),
    "resamples": Option(
        "10000", whole_number(FEWEST_RESAMPLES, MOST_RESAMPLES), "number of resamples of the paired bootstrap"
    ),
    "outputs": Option("outputs", file_path, "where an MLflow run id is looked up first"),
    "tracking_uri": Option("", some_text, "MLflow's server or database; default sqlite:///<outputs>/mlflow.db"),
    "dry_run": Option("false", truth, "say what would be compared and stop"),
}

HELP = """Compare finished runs question by question: how much they differ, whether that is significant, and where.

  python -m mcqa.compare RUN                       one run before and after training
  python -m mcqa.compare RUN RUN                   two runs on the same questions
  python -m mcqa.compare outputs/runs/mine/*       many; runs that differ only in the seed are pooled

RUN is a run folder (outputs/runs/<name>/<id>, of mcqa.train or mcqa.evaluate) or an MLflow run id.

Options (key=value):
""" + help_lines(KNOWN)


def parse(arguments: Sequence[str]) -> Options:
    """Return the options of a command line.

    Raises:
        ConfigError: all problems of the command line.
    """
    problems: list[str] = []
    runs, values, given = plain_options.parse(arguments, KNOWN, problems)
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


def _runs_to_try(outputs: Path) -> str:
    newest = sorted(outputs.glob("runs/*/*/result.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    latest = list(islice((path for path in newest if run_folder.is_complete(path.parent)), 3))
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
