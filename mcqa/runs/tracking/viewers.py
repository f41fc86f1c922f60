"""TensorBoard and Weights & Biases: views of a spool beside MLflow, where their packages are installed.

Each event of the spool is given to the package once; <name>.json in the run folder holds how far that went. Whatever
the package raises is warned of once, and the run continues.
"""

import logging
from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcqa.config.errors import ConfigError
from mcqa.config.secrets import error_reason
from mcqa.runs.files import read_optional, write_json
from mcqa.runs.tracking.sender import without_secrets_in
from mcqa.runs.tracking.spool import Event, Spool

if TYPE_CHECKING:
    from mcqa.config.schema import TrackingConfig

log = logging.getLogger(__name__)

NOTE = "mlflow.note.content"
"""The tag that describes a run."""


def check_installed(config: "TrackingConfig") -> None:
    """
    Raises:
        ConfigError: the package of this tracking is not installed.
    """
    if config.name in VIEWERS and find_spec(config.name) is None:
        raise ConfigError(
            f"tracking={config.name}: the package {config.name} is not installed: pip install 'mcqa[{config.name}]'. "
            "Or take tracking=mlflow; events.jsonl in the run folder has everything in any case."
        )


class Viewer(ABC):
    """What gets the events of one run. deadline: as of a Sender; nothing here is waited for."""

    name: str
    called: str
    deadline = 0.0
    run_id: str | None = None

    def __init__(self, config: "TrackingConfig", folder: Path, outputs: Path) -> None:
        self.config, self.outputs = config, outputs
        self.spool = Spool(folder)
        self._state = folder / f"{self.name}.json"
        sent = read_optional(self._state).get("sent")
        self._sent = sent if isinstance(sent, int) and 0 <= sent <= self.spool.size() else 0
        self._open = self._warned = False

    @property
    @abstractmethod
    def pages(self) -> list[str]:
        """Where the run is to be seen."""

    @abstractmethod
    def open(self, start: Event) -> None:
        """Begin the run, or resume it; start: the first event of the spool."""

    @abstractmethod
    def take(self, event: Event) -> None:
        """Show an event."""

    def flush(self) -> None:
        """Make what was taken visible."""
        return

    def begin(self) -> None:
        """Nothing is to be written before the first event."""
        return

    def send(self) -> bool:
        """Give the package what is new in the spool; return False, and warn once, if it does not take it."""
        try:
            if not self._open:
                if (start := self.spool.first_start()) is None:
                    return True
                self.open(start)
                self._open = True
            for end, event in self.spool.read(self._sent):
                self._sent = end  # an event that is refused is not tried again
                self.take(event)
            self.flush()
            write_json(self._state, {"sent": self._sent})
        except Exception as error:  # whatever it is, training continues
            self.warn_away(error)
            return False
        return True

    def warn_away(self, error: Exception) -> None:
        """Warn once."""
        first, self._warned = not self._warned, True
        level = logging.WARNING if first else logging.DEBUG
        reason = error_reason(error)
        log.log(level, "%s takes not everything: %s. %s has it all.", self.called, reason, self.spool.path)


class TensorBoard(Viewer):
    """Curves, configuration and verdict as event files in outputs/tensorboard/<name of the run>/<its folder>."""

    name, called = "tensorboard", "TensorBoard"

    @property
    def pages(self) -> list[str]:
        return [f"tensorboard --logdir {self.outputs / 'tensorboard'}"]

    def open(self, start: Event) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = self.spool.folder
        log_dir = self.outputs / "tensorboard" / str(start["name"]).replace("/", "_") / folder.name
        self.writer: Any = SummaryWriter(str(log_dir))

    def take(self, event: Event) -> None:
        seconds = event["ms"] / 1000
        if event["event"] == "metrics":
            for name, value in event["values"].items():
                self.writer.add_scalar(name, value, event["step"], seconds)
        elif event["event"] == "start":
            rows = (f"| {key} | {_cell(value)} |" for key, value in event["params"].items())
            self.writer.add_text("configuration", "\n".join(["| key | value |", "|---|---|", *rows]), 0, seconds)
        elif event["event"] == "tags":
            for name, value in event["values"].items():
                self.writer.add_text("verdict" if name == NOTE else name, str(value), 0, seconds)
        elif event["event"] == "finish":
            self.writer.add_text("status", event["status"], 0, seconds)

    def flush(self) -> None:
        self.writer.flush()


class WeightsAndBiases(Viewer):
    """Curves against updates, configuration, verdict as notes, and files. Without a login in W&B's offline mode."""

    name, called = "wandb", "Weights & Biases"
    run: Any = None
    offline = False

    def __init__(self, config: "TrackingConfig", folder: Path, outputs: Path) -> None:
        super().__init__(config, folder, outputs)
        self.files: set[Path] = set()  # which W&B gets at the end, as one artifact

    @property
    def pages(self) -> list[str]:
        if self.offline:
            return [f"wandb sync {self.spool.folder / 'wandb'}/offline-run-*"]
        return [str(self.run.url)] if self.run is not None and self.run.url else []

    def open(self, start: Event) -> None:
        import wandb

        mode: dict[str, str] = {}
        if not wandb.login(prompt=False):  # wandb.init would ask for it in the terminal
            mode, self.offline = {"mode": "offline"}, True
        server = {"base_url": self.config.uri} if self.config.uri else {}
        self.run = wandb.init(
            project=self.config.experiment,
            name=start["name"],
            id=start["run"],
            resume="allow",
            dir=str(self.spool.folder),
            config=start["params"],
            settings=wandb.Settings(silent=True, console="off", **server),
            **mode,
        )
        self.run.define_metric("*", step_metric="update")  # W&B's own steps never go back, as those of a resumed run do

    def take(self, event: Event) -> None:
        if event["event"] == "metrics":
            self.run.log({"update": event["step"], **event["values"]})
        elif event["event"] == "tags":
            self.run.notes = event["values"].get(NOTE, self.run.notes)
            self.run.summary.update({name: value for name, value in event["values"].items() if name != NOTE})
        elif event["event"] in ("artifact", "table"):
            path = self.spool.folder / event["path"]
            if event["path"].split("/")[0] != "model" or self.config.log_model:
                self.files |= {each for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file()}
        elif event["event"] == "finish":
            self._keep_files()
            self.run.finish(exit_code=0 if event["status"] == "FINISHED" else 1)

    def _keep_files(self) -> None:
        import wandb

        kept = wandb.Artifact(f"run-{self.run.id}", type="run")
        for path in sorted(self.files):
            with without_secrets_in(path) as sent:
                kept.add_file(str(sent), name=path.relative_to(self.spool.folder).as_posix())
        self.run.log_artifact(kept)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


VIEWERS: dict[str, type[Viewer]] = {viewer.name: viewer for viewer in (TensorBoard, WeightsAndBiases)}
"""By `tracking.name`, which is also the name of the package."""
