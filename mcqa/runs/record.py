"""What a run leaves behind: its files, its result, the tracker's run and what it says in the terminal."""

import getpass
import logging
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from mcqa.config.errors import DataError, McqaError
from mcqa.config.schema import Config, ConfigDict, EvaluateConfig
from mcqa.runs import processes, run_folder, signals, tracking
from mcqa.runs.environment import peak_memory_bytes, run_environment
from mcqa.runs.files import flat, read_json, retry_stalled_io, write_json
from mcqa.runs.trial import Preempted, Pruned, Trial

log = logging.getLogger(__name__)

Ending = tuple[
    Literal["complete", "failed", "pruned", "preempted"], Literal["FINISHED", "FAILED", "KILLED"], str | None
]


class Record:
    """Write what happens in a run to its folder and report it to the tracker.

    The stages of a run know neither. metrics: the last value of every metric by its name. trial: the run's trial where
    it is one of a study.
    """

    def __init__(self, config: Config, folder: Path, console: Console, trial: Trial | None) -> None:
        self.config, self.folder, self.console, self.trial = config, folder, console, trial
        self.metrics: dict[str, float] = {}
        study = trial.study if trial else None
        name = f"trial {folder.name}" if trial else config.name
        self.tracker = tracking.open_tracker(config.tracking, folder, _outputs(config), name, study)
        self.began = time.time()
        self.environment = run_environment(config.hardware.device)
        self.tracker.start(flat(self.config_dict), _tags(self.environment))
        for name in ("config.yaml", "overrides.yaml"):
            self.keep(folder / name)

    @property
    def config_dict(self) -> ConfigDict:
        """The configuration as it was written down when the run began."""
        return run_folder.config_of(self.folder)

    def say(self, *parts: Any) -> None:
        """Show texts or tables in the terminal, one below the other."""
        for part in parts:
            self.console.print(part, highlight=False, markup=False, soft_wrap=isinstance(part, str))

    def keep(self, path: Path) -> None:
        """Have the tracker keep a file or folder of the run folder."""
        self.tracker.artifact(path)

    def inputs(self, fingerprints: Mapping[str, str], counts: Mapping[str, int], tokenizer: str) -> None:
        """Write what the run reads to environment.json, and report it to the tracker as datasets.

        fingerprints, counts: of the questions of every split. tokenizer: its fingerprint.

        Raises:
            DataError: an earlier start of this run read something else.
        """
        environment = self.environment | {"fingerprints": {**fingerprints, "tokenizer": tokenizer}}
        earlier = self.folder / "environment.json"
        if earlier.exists() and read_json(earlier)["fingerprints"] != environment["fingerprints"]:
            raise DataError(
                f"{run_folder.shown(self.folder)} began on other questions or with another tokenizer than are there "
                "now (environment.json has their fingerprints); put them back, or start a new run."
            )
        write_json(earlier, environment)
        self.keep(earlier)
        sets = {one.name: one for one in self.config.evaluation.sets}
        if self.config.evaluation.dev is not None:
            sets["dev"] = self.config.evaluation.dev
        for name, count in counts.items():
            data = sets[name].data if name in sets else self.config.data
            source = data.path or data.hub or data.source
            self.tracker.dataset(data.name, fingerprints[name], source, name, count)

    def left_out(self, bad_rows: Sequence[str], too_long: Mapping[str, int]) -> None:
        """Write the rows and examples that are not used to left_out.json; nothing where all are used."""
        if bad_rows or too_long:
            path = self.folder / "left_out.json"
            write_json(path, {"bad_rows": list(bad_rows), "too_long": dict(too_long)})
            self.keep(path)

    def log(self, values: Mapping[str, float], step: int, of: str = "training") -> None:
        """Report a point of the curves of training, or of what `of` names; a resumed run reports none twice."""
        self.tracker.metrics(dict(values), step, of=of)

    def flush(self) -> None:
        """Write everything that was logged to the disk."""
        self.tracker.flush()


class NullRecord(Record):
    """The record of every process but the first: it has the configuration, and writes and shows nothing."""

    def __init__(self, config: Config, folder: Path, trial: Trial | None) -> None:
        self.config, self.folder, self.console, self.trial = config, folder, Console(quiet=True), trial
        self.metrics = {}

    def keep(self, path: Path) -> None:
        pass

    def inputs(self, fingerprints: Mapping[str, str], counts: Mapping[str, int], tokenizer: str) -> None:
        pass

    def left_out(self, bad_rows: Sequence[str], too_long: Mapping[str, int]) -> None:
        pass

    def log(self, values: Mapping[str, float], step: int, of: str = "training") -> None:
        pass

    def flush(self) -> None:
        pass


@contextmanager
def open_run(config: Config, folder: Path, trial: Trial | None = None) -> Iterator[Record]:
    """Run the block; then write result.json, atomically and last, and end the tracker's run, whatever happened.

    A signal of preemption stops the block with Preempted, in a training between two updates, and after the result is
    written submitit's own handling of the signal follows. Errors go on to the caller after they were recorded. Of
    several processes the first one alone records (processes.py), and every error is raised there.
    """
    with signals.Watch() as watch:
        if processes.is_first():
            with _recorded(config, folder, trial, watch) as record:
                yield record
        else:
            with _listened(watch), signals.defer_signals(deferring=False):
                yield NullRecord(config, folder, trial)


@contextmanager
def _listened(watch: signals.Watch) -> Iterator[None]:
    try:
        yield
    except Pruned:
        pass
    except Preempted:
        watch.requeue(processes.rank())
        raise


@contextmanager
def _recorded(config: Config, folder: Path, trial: Trial | None, watch: signals.Watch) -> Iterator[Record]:
    console = Console()
    console.print(f"Run folder: {run_folder.shown(folder)}", highlight=False, markup=False, soft_wrap=True)
    if trial is None:
        tracking.send_unsent(config.tracking, _outputs(config))
    ending: Ending = ("failed", "FAILED", None)
    if trial is None:
        retry_stalled_io(
            lambda: (folder / "result.json").unlink(missing_ok=True)
        )  # of an earlier start: it holds no longer
    record = Record(config, folder, console, trial)
    try:
        with signals.defer_signals(deferring=False):
            yield record
        ending = ("complete", "FINISHED", None)
    except Pruned:
        ending = ("pruned", "KILLED", None)
    except Preempted as stop:
        ending = ("preempted", "KILLED", str(stop))
        raise type(stop)(f"{stop}{_how_to_resume(config, folder, trial)}") from None
    except (KeyboardInterrupt, SystemExit) as stop:
        ending = ("preempted" if trial else "failed", "KILLED", f"stopped by {type(stop).__name__}")
        raise
    except BaseException as error:
        ending = ("failed", "FAILED", str(error) if isinstance(error, McqaError) else traceback.format_exc())
        raise
    finally:
        watch.over()
        _finish(record, ending)
        if ending[0] == "preempted":
            watch.requeue()


def _how_to_resume(config: Config, folder: Path, trial: Trial | None) -> str:
    """Trials start again by themselves, and a measurement is simply done again."""
    if trial is not None or isinstance(config, EvaluateConfig):
        return ""
    return f" It goes on with: python -m mcqa.train resume={run_folder.shown(folder)}"


def _finish(record: Record, ending: Ending) -> None:
    status, ended, error = ending
    last = record.trial.last_reported() if record.trial else None
    result = {
        "status": status,
        "value": last if status == "pruned" else record.metrics.get(record.config.evaluation.best_metric),
        "metrics": record.metrics,
        "seconds": round(time.time() - record.began, 1),
        "peak_memory_bytes": peak_memory_bytes(record.config.hardware.device),
        "error": error,
    }
    if record.trial and status in (
        "complete",
        "pruned",
    ):  # the best trial is trained again where its weights are wanted
        shutil.rmtree(record.folder / "checkpoints", ignore_errors=True)
    if record.trial:
        record.trial.end(result)
    else:
        write_json(record.folder / "result.json", result)
    record.keep(record.folder / "result.json")
    record.tracker.finish(ended)


def optional(what: str, do: Callable[[], None]) -> None:
    """Do something that no result depends on; where it fails, one warning."""
    try:
        do()
    except Preempted:
        raise
    except Exception as error:
        log.warning("%s failed and was left out: %s: %s", what, type(error).__name__, error)


def _tags(environment: Mapping[str, Any]) -> dict[str, str]:
    """The environment, and what MLflow's own columns show."""
    known = {name: str(value) for name, value in flat(environment).items() if value is not None}
    shown = {"mlflow.user": _user(), "mlflow.source.name": sys.argv[0] or "mcqa"}
    if environment["git_commit"]:
        shown["mlflow.source.git.commit"] = environment["git_commit"]
    return known | shown


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


def _outputs(config: Config) -> Path:
    return Path(config.outputs).absolute()
