"""What a run leaves behind: its files, its result, the tracker's run and what it says in the terminal."""

import getpass
import logging
import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mcqa.config.errors import DataError, FileError, McqaError, disk_problem
from mcqa.config.schema import Config, ConfigDict, EvaluateConfig
from mcqa.config.secrets import redact
from mcqa.runs import chain, processes, run_folder, signals, tracking
from mcqa.runs.environment import peak_memory_bytes, run_environment
from mcqa.runs.failures import error_text
from mcqa.runs.files import flatten, read_stored, write_json
from mcqa.runs.logged_console import LoggedConsole
from mcqa.runs.mailbox import Mailbox
from mcqa.runs.trial import Paused, Preempted, Pruned, Trial

log = logging.getLogger(__name__)


class Record:
    """Write what happens in a run to its folder and report it to the tracker.

    The steps of a run know neither. metrics: the last value of every metric by its name. trial: the run's trial where
    it is one of a study; its stages have none. first_looks: the sets of which only some questions are measured: how
    many, and how many there are. warnings: of the report on the questions. measurements_left_out: of dev during
    training.
    """

    first_looks: Mapping[str, tuple[int, int]] = {}
    warnings: Sequence[str] = ()
    measurements_left_out = 0

    def __init__(self, config: Config, folder: Path, console: Console, trial: Trial | None) -> None:
        self.config, self.folder, self.console = config, folder, console
        self._is_of(trial)
        self.metrics: dict[str, float] = {}
        self.tracker = self._open_tracker()
        self.began = time.time()
        self.environment = run_environment(config.hardware.device)
        self.tracker.start(flatten(self.config_dict), _tags(self.environment))
        for name in ("config.yaml", "overrides.yaml"):
            self.keep(folder / name)

    def _is_of(self, trial: Trial | None) -> None:
        is_stage = run_folder.chain_of(self.folder) is not None
        self.trial = None if is_stage else trial
        self._stage_of_trial = trial if is_stage else None

    @property
    def is_in_study(self) -> bool:
        """Whether the run is a trial, or one of its stages, and leaves test alone."""
        return self.trial is not None or self._stage_of_trial is not None

    def _open_tracker(self) -> tracking.Tracker:
        """A stage is nested in its run, and a trial in its study; the stages of a trial are not sent."""
        config, folder = self.config, self.folder
        outputs = run_folder.outputs_of(folder, config.outputs)
        if self.trial is not None:
            return tracking.open_tracker(config.tracking, folder, outputs, f"trial {folder.name}", self.trial.study)
        sent = replace(config.tracking, name="none") if self.is_in_study else config.tracking
        name = run_folder.name_of(self.config_dict)
        return tracking.open_tracker(sent, folder, outputs, name, chain=run_folder.chain_of(folder))

    @property
    def config_dict(self) -> ConfigDict:
        """The configuration as it was written down when the run began."""
        return run_folder.config_of(self.folder)

    def say(self, *parts: Any) -> None:
        """Show texts or tables in the terminal, one below the other."""
        for part in parts:
            shown = redact(part) if isinstance(part, str) else part
            if isinstance(shown, str) and self.console.is_terminal:
                shown = at_words(shown, self.console.width)
            self.console.print(shown, highlight=False, markup=False, soft_wrap=isinstance(part, str))

    def keep(self, path: Path) -> None:
        """Have the tracker keep a file or folder of the run folder."""
        self.tracker.artifact(path)

    def inputs(
        self,
        fingerprints: Mapping[str, str],
        counts: Mapping[str, int],
        tokenizer: str,
        first_looks: Mapping[str, tuple[int, int]] | None = None,
        removed: Mapping[str, int] | None = None,
    ) -> None:
        """Write what the run reads to environment.json, and report it to the tracker as datasets.

        fingerprints, counts: of the questions of every split. tokenizer: its fingerprint. first_looks: as of the class.
        removed: how many questions data.clean has left out of train.

        Raises:
            DataError: an earlier start of this run read something else.
        """
        now = {**fingerprints, "tokenizer": tokenizer}
        path = self.folder / "environment.json"
        if path.exists():
            self._check_same_inputs(path, now)
        write_json(path, self.environment | {"fingerprints": now, "removed_from_train": dict(removed or {})})
        self.keep(path)
        sets = {each.name: each for each in self.config.evaluation.sets}
        if self.config.evaluation.dev is not None:
            sets["dev"] = self.config.evaluation.dev
        for name, count in counts.items():
            data = sets[name].data if name in sets else self.config.data
            source = data.path or data.hub or data.source
            self.tracker.dataset(data.name, fingerprints[name], source, name, count)
        if first_looks and not self.is_in_study:  # a trial measures dev only
            self.first_looks = first_looks
            looks = [f"{name}: {few} of {every} questions" for name, (few, every) in first_looks.items()]
            self.tracker.tags({"first_look": "; ".join(looks)})

    def _check_same_inputs(self, path: Path, now: Mapping[str, str]) -> None:
        """
        Raises:
            FileError: the file cannot be read. One that is damaged is replaced, with a warning.
            DataError: it says that the run began on something else.
        """
        remedy = (
            "It says on which questions and with which tokenizer the run began. Make it a file that you can read, or "
            "delete it: the run then continues with those that are there."
        )
        try:
            earlier = read_stored(path, remedy, dict).get("fingerprints")
        except FileError as error:
            if isinstance(error.__cause__, OSError):
                raise
            earlier = None
        if not isinstance(earlier, dict) or not earlier:
            log.warning(
                "%s is damaged, so it is not known whether the run began on these questions and with this tokenizer; "
                "it continues with them.",
                path,
            )
        elif changed := [name for name in now if earlier.get(name, now[name]) != now[name]]:
            raise DataError(
                f"{run_folder.shown(self.folder)} began on other questions or with another tokenizer than are there "
                f"now (environment.json has other fingerprints of {', '.join(changed)}); put them back, or start a new "
                "run."
            )

    def left_out(self, bad_rows: Sequence[str], too_long: Mapping[str, int]) -> None:
        """Write the rows and examples that are not used to left_out.json; nothing where all are used."""
        if bad_rows or too_long:
            path = self.folder / "left_out.json"
            write_json(path, {"bad_rows": list(bad_rows), "too_long": dict(too_long)})
            self.keep(path)

    def log(self, values: Mapping[str, float], step: int, of: str = "training") -> None:
        """Report a point of the curves of training, or of what `of` names; a resumed run reports none twice."""
        self.tracker.metrics(dict(values), step, of=of)

    def result_so_far(self) -> dict[str, Any]:
        """Return what result.json will have of the measurements and their cost."""
        stages = chain.results(self.folder) if self.config.stages else []
        seconds = time.time() - self.began
        return {
            "metrics": self.metrics,
            "first_look": {name: {"questions": few, "of": all_} for name, (few, all_) in self.first_looks.items()},
            "base_measured": measures_base(self.config, self.trial),
            "measurements_left_out": self.measurements_left_out,
            "warnings": list(self.warnings),
            "seconds": round(seconds + sum(stage["seconds"] or 0 for stage in stages), 1),
            "peak_memory_bytes": max(
                peak_memory_bytes(self.config.hardware.device),
                *(stage["peak_memory_bytes"] or 0 for stage in stages),
                0,
            ),
            **(
                {"stages": [*stages, {"name": self.config.stages[-1].name, "seconds": round(seconds, 1)}]}
                if stages
                else {}
            ),
        }

    def flush(self) -> None:
        """Write everything that was logged to the disk."""
        self.tracker.flush()


class NullRecord(Record):
    """The record of every process but the first: it has the configuration, and writes and shows nothing."""

    def __init__(self, config: Config, folder: Path, trial: Trial | None) -> None:
        self.config, self.folder, self.console = config, folder, Console(quiet=True)
        self._is_of(trial)
        self.metrics = {}

    def _nothing(self, *args: Any, **kwargs: Any) -> None:
        pass

    keep = inputs = left_out = log = flush = _nothing


@contextmanager
def open_run(config: Config, folder: Path, trial: Trial | None = None) -> Iterator[Record]:
    """Run the block; then write result.json, atomically and last, and end the tracker's run, whatever happened.

    A signal stops the block with Preempted, during training between two updates; after the result is written,
    submitit's own handler of the signal is called. Errors are recorded and raised again. Of several processes only the
    first one records (processes.py); errors are raised in all of them.
    """
    with signals.Watch() as watch:
        if processes.is_first():
            console = LoggedConsole(folder / log_name(config))
            with console.with_warnings(), _recorded(config, folder, console, trial, watch) as record:
                yield record
        else:
            try:
                with signals.defer_signals(deferring=False):
                    yield NullRecord(config, folder, trial)
            except Pruned:
                pass
            except Preempted:
                watch.requeue(processes.rank())
                raise


@contextmanager
def _recorded(
    config: Config, folder: Path, console: LoggedConsole, trial: Trial | None, watch: signals.Watch
) -> Iterator[Record]:
    for line in chain.title(folder):
        console.print(line, highlight=False, markup=False)
    console.print(f"Run folder: {run_folder.shown(folder)}", highlight=False, markup=False, soft_wrap=True)
    if trial is None:
        tracking.send_unsent(config.tracking, run_folder.outputs_of(folder, config.outputs))
    if trial is None or run_folder.chain_of(folder) is not None:
        Mailbox(folder).delete_result()  # of an earlier start; the controller deletes a trial's
    record = Record(config, folder, console, trial)
    # A trial is resumed by its study, and a run of mcqa.evaluate simply starts again.
    hint = "" if trial or isinstance(config, EvaluateConfig) else f" {run_folder.how_to_resume(folder)}"
    status, error = "failed", None
    tracker_status: tracking.Status = "FAILED"
    try:
        with signals.defer_signals(deferring=False):
            yield record
        status, tracker_status = "complete", "FINISHED"
    except Pruned:
        status, tracker_status = "pruned", "KILLED"
    except Paused:
        status, tracker_status = "paused", "KILLED"
        raise
    except Preempted as stop:
        status, tracker_status, error = "preempted", "KILLED", str(stop)
        raise type(stop)(f"{stop}{hint}") from None
    except (KeyboardInterrupt, SystemExit) as stop:
        status, tracker_status = "preempted" if trial else "failed", "KILLED"
        error = f"stopped by {type(stop).__name__}"
        if hint and isinstance(stop, KeyboardInterrupt):
            raise KeyboardInterrupt(f"Stopped.{hint}") from None
        raise
    except McqaError as raised:
        error = error_text(raised)
        raise
    except BaseException as raised:
        error = disk_problem(raised) or error_text(raised)
        if disk_problem(raised):
            raise FileError(f"{error}{hint}") from raised
        raise
    finally:
        watch.over()
        if error:
            console.write(f"{error}{hint if status == 'preempted' else ''}\n")  # which the command shows later
        try:
            _finish(record, status, error)
        except OSError as unwritten:
            message = f"{disk_problem(unwritten) or unwritten}{hint}"
            if error is None:
                raise FileError(message) from unwritten
            log.warning("result.json could not be written: %s", message)  # the first error is the one to raise
        finally:
            record.tracker.finish(tracker_status)
        if status == "preempted":
            watch.requeue()


def log_name(config: Config) -> str:
    """Return the name of the file of a run folder that has what was shown in the terminal."""
    return "evaluate.log" if isinstance(config, EvaluateConfig) else "train.log"


def _finish(record: Record, status: str, error: str | None) -> None:
    trial, folder = record.trial, record.folder
    value = record.metrics.get(record.config.evaluation.best_metric)
    if trial and status in ("complete", "pruned"):  # to have its weights, the best trial is trained again
        chain.remove_weights(folder)
    result = {
        "status": status,
        "value": trial.last_reported() if trial and status in ("pruned", "paused") else value,
        **record.result_so_far(),
        "error": error,
    }
    run_folder.write_result(folder, result)
    if (shown := folder / log_name(record.config)).exists():
        record.keep(shown)
    if status not in ("preempted", "paused"):  # that file is deleted when the run resumes
        record.keep(folder / "result.json")


def measures_base(config: Config, trial: Trial | None) -> bool:
    """Whether the run's base is measured: by its first process, or for all trials of a study; as evaluated always."""
    return config.evaluation.before or trial is not None or isinstance(config, EvaluateConfig)


COMMAND = re.compile(r" (?=python -m |mcqa |https?://)")


def at_words(text: str, width: int) -> str:
    """Return a text in lines of this width that end between words. A command or address that does not fit begins a line
    of its own and is left whole, so that it can be copied.
    """
    lines = list[str]()
    for line in text.split("\n"):
        words, *command = COMMAND.split(line, maxsplit=1) if len(line) > width else [line]
        indent = " " * (len(words) - len(words.lstrip()))
        wrapped = textwrap.wrap(words, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        lines += [*(wrapped or [words]), *(f"  {each}" for each in command)]
    return "\n".join(lines)


def optional(what: str, do: Callable[[], None]) -> None:
    """Do something that no result depends on; where it fails, log one warning."""
    try:
        do()
    except Preempted:
        raise
    except Exception as error:
        log.warning("%s failed and was left out: %s: %s", what, type(error).__name__, error)


def _tags(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment as tags, and those that MLflow's own columns show."""
    tags = {name: str(value) for name, value in flatten(environment).items() if value is not None}
    tags |= {"mlflow.user": _user(), "mlflow.source.name": sys.argv[0] or "mcqa"}
    if environment["git_commit"]:
        tags["mlflow.source.git.commit"] = environment["git_commit"]
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
