"""Send a spool to MLflow, from where the last attempt ended.

tracking.json in the run folder holds the destination and the position. Sending anything twice is harmless: MLflow
recognises an equal metric, parameter or dataset, files are replaced, and the run has the tag `mcqa.run`. Only
MlflowClient is used, never MLflow's global run, its MLFLOW_RUN_ID or its own threads.
"""

import json
import logging
import os
import posixpath
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from mcqa.config.errors import without_paths
from mcqa.config.secrets import error_reason, redact, without_secrets
from mcqa.config.validation import members
from mcqa.runs.files import flatten, read_optional, read_yaml, write_json, write_yaml
from mcqa.runs.tracking.spool import Event, Spool

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig

log = logging.getLogger(__name__)

REQUEST_S = 4.0  # a server that takes longer to answer counts as away
CREATE_S = 60.0  # for a new SQLite file, made by this process or waited for
UPLOAD_S = 60.0  # for a file, and a second more per megabyte

MAX_METRICS, MAX_PARAMS = 1000, 25  # per request; MLflow takes 100 parameters but no more than 1 MB
MAX_KEY, MAX_PARAM, MAX_TAG = 250, 6000, 5000  # characters
CUT = " … [cut]"
MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}  # how MLflow's page shows the experiment

SERVED_AT = "http://127.0.0.1:5000"
"""Where `mlflow ui` serves an SQLite file."""

VIEW = "mcqa"
COLUMNS = ["tags.`first_look`", "tags.`test accuracy`", "tags.`test interval`"]
VIEW_OF_RUNS = {f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": COLUMNS})}
"""A tag of the experiment: the columns of its list of runs, at the address that names the view."""

DETAIL = re.compile(
    r"/(.+_(stderr_independent|ci_low|ci_high)(_scaled)?|.+_scaled|ece_.+|acc_bytes|acc_tokens|nll|aurc|temperature"
    r"|n|ties|nan|truncated|too_long)$"
)
"""Metrics of measurements that MLflow would draw a chart of each, and that result.json has."""

ADVICE = {
    r"\b401\b": "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    r"\b403\b": "A server that is reached by name needs --allowed-hosts.",
    r"\b404\b|valid JSON|'run_id'|nsupported URI|maintenance mode|Invalid url|WRONG_VERSION|code 30\d": (
        "tracking.uri is the address of an MLflow server, such as http://host:5000, or a database, such as "
        "sqlite:////home/me/mlflow.db."
    ),
    "No module named": "Install the driver of that database.",
}
"""What to do, by what MLflow's error says."""

_ONE_AT_A_TIME = threading.Lock()  # MLflow reads the timeout of a request from the environment of the process


@dataclass
class Position:
    """How far a spool was sent, as tracking.json holds it. sent: bytes. status: of the run in MLflow by then."""

    uri: str | None
    experiment: str
    run_id: str | None = None
    sent: Annotated[int, "at least 0"] = 0
    status: str = "RUNNING"

    @classmethod
    def read(cls, folder: Path) -> "Position | None":
        """Return the position that the folder holds, if it can be read.

        In the place of a damaged one, the beginning of the spool is written, with the destination in config.yaml.
        """
        path, problems = folder / "tracking.json", list[str]()
        try:
            defaults = {"run_id": None, "sent": 0, "status": "RUNNING"}
            values = members(cls, defaults | json.loads(path.read_bytes()), "", problems)
        except OSError:  # there is none, or it is another user's
            return None
        except (ValueError, TypeError, RecursionError) as error:
            problems.append(" ".join(str(error).split()))
        if not problems:
            return cls(**values)
        stored = flatten(read_optional(folder / "config.yaml"))
        uri, experiment = stored.get("tracking.uri"), stored.get("tracking.experiment")
        what = "only when it is resumed" if experiment is None else "from its beginning"
        log.warning("%s is damaged: %s. The run is sent to MLflow %s.", path, problems[0].rstrip("."), what)
        if experiment is None:
            return None
        position = cls(redact(str(uri)) if uri else None, str(experiment))
        with suppress(OSError):
            position.save(folder)
        return position

    def save(self, folder: Path) -> None:
        write_json(folder / "tracking.json", asdict(self), private=True)

    def is_for(self, config: "TrackingConfig") -> bool:
        return (self.uri, self.experiment) == (config.uri and redact(config.uri), config.experiment)


class Sender:
    """Send one spool, in one thread. deadline: monotonic seconds until which the current request may take."""

    def __init__(self, config: "TrackingConfig", folder: Path, outputs: Path) -> None:
        self.spool = Spool(folder)
        self.uri = config.uri or f"sqlite:///{outputs.resolve()}/mlflow.db"
        self.experiment = config.experiment
        self.log_model = config.log_model
        position = Position.read(folder)
        if position is None or not position.is_for(config):
            position = Position(config.uri and redact(config.uri), config.experiment)
        if position.sent > self.spool.size():  # a part of the spool was lost
            position.sent = 0
        self.position = position
        self.deadline = 0.0
        self.experiment_id: str | None = None
        self._client: Any = None
        self._warned = False
        self._send = {
            "start": self._start,
            "tags": self._tags,
            "artifact": self._artifact,
            "table": self._table,
            "dataset": self._dataset,
            "finish": self._finish,
        }

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None before MLflow was reached for the first time."""
        return self.position.run_id

    def begin(self) -> None:
        """Write down where the run is sent, and import MLflow."""
        self.position.save(self.spool.folder)
        with suppress(Exception):  # the attempt to send reports it
            load_mlflow()

    @property
    def pages(self) -> list[str]:
        """The addresses of this run and of the list of runs, in MLflow's pages; none before MLflow was reached."""
        if self.experiment_id is None or self.position.run_id is None:
            return []
        server = self.uri.rstrip("/") if self.uri.startswith(("http:", "https:")) else SERVED_AT
        return [
            f"{server}/#/experiments/{self.experiment_id}/runs/{self.position.run_id}",
            runs_page(server, self.experiment_id),
        ]

    def send(self) -> bool:
        """Send what is unsent; return False, and warn once, if MLflow does not take it."""
        if self._client and self.spool.size() == self.position.sent:
            return True
        try:
            with _calm_mlflow():
                self._send_all()
        except Exception as error:  # whatever it is, training continues
            self._client = None
            self.warn_away(error)
            return False
        return True

    def warn_away(self, error: Exception) -> None:
        """Warn once, whichever thread notices first."""
        first, self._warned = not self._warned, True
        log.log(
            logging.WARNING if first else logging.DEBUG,
            "MLflow at %s could not be updated: %s. %s Nothing is lost: %s holds everything and is sent later, "
            "at the latest when the next run starts.",
            *(redact(self.uri), error_reason(error), _advice(error, self.uri), self.spool.path),
        )

    def _allow(self, seconds: float) -> None:
        """Let the next request take that long."""
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(int(seconds))
        self.deadline = time.monotonic() + seconds + 1

    def _send_all(self) -> None:
        if self._client is None:
            start = self.spool.first_start()
            if start is None:
                return
            self._connect(start)
        for end, events in _batches(self.spool.read(self.position.sent)):
            self._deliver(events)
            self.position.sent = end
            self.position.save(self.spool.folder)
        if self.spool.read_to > self.position.sent:  # past lines that are no events
            self.position.sent = self.spool.read_to
            self.position.save(self.spool.folder)

    def _deliver(self, events: list[Event]) -> None:
        self._allow(REQUEST_S)
        kind = events[0]["event"]
        try:
            if kind == "metrics":
                self._metrics(events)
            else:
                self._send[kind](events[0])
        except Exception as error:
            invalid = getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE"
            if not invalid and kind not in ("artifact", "table"):
                raise
            self._allow(REQUEST_S)
            self._client.get_run(self.position.run_id)  # raises if MLflow is away, and all is tried again
            what = f"{kind} {events[0].get('path', '')}".strip()
            log.warning("MLflow at %s refuses %s: %s", redact(self.uri), what, error_reason(error))

    def _connect(self, start: Event) -> None:
        self._allow(CREATE_S)  # the import alone takes seconds
        from mlflow import MlflowClient

        database = Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None
        self._allow(CREATE_S if database else REQUEST_S)
        if database and database.exists():
            database.open("r+b").close()  # of what is no file, or not to be written, MLflow asks again for a minute
        with _locked(database) if database else nullcontext():
            self._allow(CREATE_S if database and not database.exists() else REQUEST_S)
            client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            self.experiment_id = experiment_id = _experiment(client, self.experiment, database)
        run_id = self._known_run(client) or _run_of(client, experiment_id, start)
        if run_id != self.position.run_id:
            self.position.run_id, self.position.sent = run_id, 0
            self.position.save(self.spool.folder)
        self._client = client

    def _known_run(self, client: Any) -> str | None:
        """Return the run id in tracking.json, unless the run is gone, as from a new database under the old name."""
        from mlflow.exceptions import MlflowException

        self._allow(REQUEST_S)
        try:
            run = client.get_run(self.position.run_id) if self.position.run_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return str(run.info.run_id) if run and run.info.lifecycle_stage == "active" else None

    def _start(self, event: Event) -> None:
        """Send parameters and tags. Parameters cannot change in MLflow: a resumed run sends only new ones."""
        from mlflow.entities import Param, RunTag

        run = self._client.get_run(self.position.run_id)
        if run.info.status != "RUNNING":
            self._client.update_run(self.position.run_id, status="RUNNING")
        self.position.status = "RUNNING"
        params = {_name(key): _cut(value, MAX_PARAM) for key, value in event["params"].items()}
        new = [Param(key, value) for key, value in params.items() if key not in run.data.params]
        tags = [RunTag(_name(key), _cut(value, MAX_TAG)) for key, value in event["tags"].items()]
        if event.get("parent") and (parent := self._run_of_parent(Path(event["parent"]))):
            tags.append(RunTag("mlflow.parentRunId", parent))
        for part in _parts(new, MAX_PARAMS):
            self._log(params=part)
        for part in _parts(tags, MAX_PARAMS):
            self._log(tags=part)

    def _run_of_parent(self, folder: Path) -> str | None:
        """Return the id of the run that this one is nested in, which is made where MLflow was away when it began."""
        if (position := Position.read(folder)) is not None and position.run_id is not None:
            return position.run_id
        start = Spool(folder).first_start()
        return _run_of(self._client, self.experiment_id, start) if start and self.experiment_id else None

    def _tags(self, event: Event) -> None:
        from mlflow.entities import RunTag

        self._log(tags=[RunTag(_name(key), _cut(value, MAX_TAG)) for key, value in event["values"].items()])

    def _metrics(self, events: list[Event]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(_name(key), value, event["ms"], event["step"])
            for event in events
            for key, value in (_charted(event["values"]) if "of" in event else event["values"]).items()
        ]
        for part in _parts(metrics, MAX_METRICS):
            self._log(metrics=part)

    def _log(self, **entities: object) -> None:
        self._allow(REQUEST_S)
        self._client.log_batch(self.position.run_id, synchronous=True, **entities)

    def _artifact(self, event: Event) -> None:
        path = self.spool.folder / event["path"]
        if Path(event["path"]).parts[0] == "model" and not self.log_model:
            return
        files = path.rglob("*") if path.is_dir() else [path]
        self._allow(UPLOAD_S + sum(file.stat().st_size for file in files) / 1e6)
        if path.is_dir():
            self._client.log_artifacts(self.position.run_id, str(path), event["path"])
        else:
            parent = posixpath.dirname(event["path"]) or None
            with without_secrets_in(path) as sent:
                self._client.log_artifact(self.position.run_id, str(sent), parent)

    def _table(self, event: Event) -> None:
        self._artifact(event)
        self._allow(REQUEST_S)
        tags = self._client.get_run(self.position.run_id).data.tags
        tables = json.loads(tags.get("mlflow.loggedArtifacts", "[]"))
        table = {"path": event["path"], "type": "table"}
        if table not in tables:
            text = json.dumps([*tables, table])
            self._client.set_tag(self.position.run_id, "mlflow.loggedArtifacts", text)

    def _dataset(self, event: Event) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        is_hub = not Path(event["source"]).exists()
        dataset = Dataset(
            name=event["name"][:500],
            digest=event["digest"][:36],
            source_type="hugging_face" if is_hub else "local",
            source=json.dumps({"path" if is_hub else "uri": event["source"]}),
            profile=json.dumps({"num_rows": event["questions"]}),
        )
        split = InputTag("mlflow.data.context", event["split"])
        self._client.log_inputs(self.position.run_id, datasets=[DatasetInput(dataset, [split])])

    def _finish(self, event: Event) -> None:
        self._client.set_terminated(self.position.run_id, event["status"], event["ms"])
        self.position.status = event["status"]


def is_file(uri: str | None) -> bool:
    """Whether runs go to an SQLite file, which has one writer at a time, and not to a server."""
    return uri is None or uri.startswith("sqlite:")


def load_mlflow() -> None:
    """Import MLflow, which takes seconds, before another thread imports something at the same time."""
    if "mlflow" not in sys.modules:
        with _calm_mlflow():
            import mlflow  # noqa: F401


@contextmanager
def without_secrets_in(path: Path) -> Iterator[Path]:
    """Yield a file as it may leave the machine: of a configuration with secrets a copy without them."""
    value = read_yaml(path) if path.suffix == ".yaml" else None
    if (shown := without_secrets(value)) == value:
        yield path
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        write_yaml(copy, shown)
        yield copy


@contextmanager
def _calm_mlflow() -> Iterator[None]:
    """Run the block without retries, progress bars, telemetry and log lines of MLflow; then restore its settings."""
    settings = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(int(REQUEST_S)),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with _ONE_AT_A_TIME:
        before = {name: os.environ.get(name) for name in settings}
        loggers = {logging.getLogger(name): logging.getLogger(name).level for name in ("mlflow", "alembic")}
        os.environ.update(settings)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
            for logger, level in loggers.items():
                logger.setLevel(level)


def _advice(error: Exception, uri: str) -> str:
    """Return what to do about an MLflow that does not take a run."""
    text = without_paths(error)
    return next((advice for pattern, advice in ADVICE.items() if re.search(pattern, text)), None) or (
        "Is it the database of an MLflow of this version, and yours to write?"
        if is_file(uri)
        else "Does MLflow run there, and can this machine reach it?"
    )


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Let one process at a time open a database: of several that migrate a new file, all but one would fail."""
    from filelock import FileLock

    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=CREATE_S):
        yield


def _experiment(client: Any, name: str, database: Path | None) -> str:
    """Return the experiment's id. The artifacts of an SQLite file lie beside it, not in the working folder."""
    from mlflow.exceptions import MlflowException

    location = (database.parent / "mlartifacts").resolve().as_uri() if database else None
    if (experiment := client.get_experiment_by_name(name)) is None:
        try:
            tags = MODEL_TRAINING | VIEW_OF_RUNS
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:  # another process was faster
            if (experiment := client.get_experiment_by_name(name)) is None:
                raise
    for key, value in VIEW_OF_RUNS.items():  # of an experiment that somebody else, or an earlier version, has made
        if key not in experiment.tags:
            with suppress(MlflowException):  # who may add runs may not be allowed to change the experiment
                client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)


def _run_of(client: Any, experiment_id: str, start: Event) -> str:
    """Return the id of the run that an earlier attempt created, or of a new one."""
    runs = client.search_runs([experiment_id], f"tags.`mcqa.run` = '{start['run']}'", max_results=1)
    run = runs[0] if runs else client.create_run(experiment_id, start["ms"], {"mcqa.run": start["run"]}, start["name"])
    return str(run.info.run_id)


def runs_page(server: str, experiment_id: str) -> str:
    """Return the address of the list of runs, with the columns of COLUMNS."""
    return f"{server}/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}"


def _charted(values: dict[str, float]) -> dict[str, float]:
    """Return the metrics that MLflow gets of what a run logs, so that its charts begin with the curves of dev.

    MLflow orders charts by the part of a name before its last `/`: base/test/acc becomes test/base/acc.
    """
    charted = {key: value for key, value in values.items() if not DETAIL.search(key)}
    return {re.sub(r"^base/(.+)/", r"\1/base/", key): value for key, value in charted.items()}


def _batches(events: Iterable[tuple[int, Event]]) -> Iterator[tuple[int, list[Event]]]:
    """Yield neighbouring metrics together and everything else alone, each with the position behind it."""
    batch: list[Event] = []
    values = last = 0
    for end, event in events:
        is_metrics = event["event"] == "metrics"
        if batch and (not is_metrics or values + len(event["values"]) > MAX_METRICS):
            yield last, batch
            batch, values = [], 0
        if is_metrics:
            batch.append(event)
            values += len(event["values"])
        else:
            yield end, [event]
        last = end
    if batch:
        yield last, batch


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _name(key: str) -> str:
    """Return a key as MLflow takes it: letters, digits and `_-. :/`, and a path in its simplest form."""
    plain = posixpath.normpath(re.sub(r"[^\w.\- :/]", "_", key)).lstrip("./")
    return plain[:MAX_KEY] or "_"


def _cut(value: object, limit: int) -> str:
    text = str(value).replace("\0", "")  # which PostgreSQL refuses
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT
