"""The model that a run saved, and the base that it was trained from, for what is done with them afterwards."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from mcqa.config.base_run import MERGED
from mcqa.config.errors import ConfigError
from mcqa.config.schema import Config, HardwareConfig, ModelConfig
from mcqa.config.validation import typed
from mcqa.models import sharding
from mcqa.models.loading import load_merged, load_model, load_tokenizer
from mcqa.models.model_card import with_usage
from mcqa.models.model_files import holds_adapter
from mcqa.runs import chain, processes, run_folder
from mcqa.runs.lookup import finished_run

log = logging.getLogger(__name__)


def saved_model(model: ModelConfig, folder: Path) -> ModelConfig:
    """Return the configuration of the model that a run saved in `folder`, the run's model/."""
    return replace(model, path=str(folder), tokenizer=None, revision=None, architecture=None, vocabulary_size=None)


def stored_run(reference: str, outputs: Path) -> tuple[Path, Config]:
    """Return the folder and the configuration of a run that saved a model, on hardware that this machine has.

    Raises:
        ConfigError: there is no such run, or it has saved no model.
    """
    folder = finished_run(reference, outputs)
    if not (folder / "model").is_dir():
        raise ConfigError(f"{reference}: {run_folder.why_no_model(folder)}")
    stored = {key: value for key, value in run_folder.config_of(folder).items() if key not in ("run", "splits")}
    config = typed(stored, Config)
    config = with_base(config, folder)
    return folder, replace(config, hardware=_of_this_machine(config.hardware))


def _of_this_machine(hardware: HardwareConfig) -> HardwareConfig:
    """Return one device in one process: the GPU that the run had, or the CPU where torch sees none."""
    one = replace(sharding.evaluation_hardware(hardware), devices=1, nodes=1)
    if one.device == "cuda" and not torch.cuda.is_available():
        return replace(one, device="cpu", precision="fp32", attention="sdpa", compile=False, tf32=False)
    return one


def make_base(model: ModelConfig) -> None:
    """Merge the adapter of the run that model.run names into its base, once, so that model.path is there.

    Raises:
        McqaError: it cannot be merged or written.
    """
    if model.run is None or model.path is None or Path(model.path).parts[-2:] != MERGED.parts:
        return
    merge_once(model.run, Path(model.path))


def merge_once(run: str, folder: Path) -> None:
    """Write the whole model of a run to `folder`, unless it is there.

    Raises:
        McqaError: it cannot be merged or written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # of several processes the first one merges
        if (folder / "README.md").is_file():  # which is written last
            return
        log.info("Merging the adapter of %s into its base: %s", run, run_folder.shown(folder))
        export_merged(*stored_run(run, Path.cwd()), folder)


def with_base(config: Config, folder: Path) -> Config:
    """Return the configuration of a run with the model that is its base: that of the stage before, where there is one.

    What an adapter makes of its base is written once, as a whole model, into the folder of the stage that trained it.
    Every process of the run must call it.
    """
    if (before := chain.stage_before(folder)) is None:
        return config
    model = replace(config.model, run=None, **chain.model_keys(before))
    if processes.is_first() and model.path is not None and Path(model.path).parts[-2:] == MERGED.parts:
        merge_once(str(before), Path(model.path))
    processes.broadcast(0)  # the others wait
    return replace(config, model=model)


def export_merged(folder: Path, config: Config, out: Path) -> None:
    """Write the whole model of a run folder to `out`, with its tokenizer and a model card, the latter last."""
    saved = saved_model(config.model, folder / "model")
    tokenizer = load_tokenizer(saved, [])
    load = load_merged if holds_adapter(folder / "model") else load_model
    model = load(saved, config.peft, config.hardware, tokenizer, config.seed)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))
    write_card(folder, config, out, "transformers")


def write_card(folder: Path, config: Config, out: Path, library: str) -> None:
    """Write the run's own card to an export, with how that is loaded."""
    card = folder / "model" / "README.md"
    text = card.read_text("utf-8") if card.is_file() else f"# {config.name}\n"
    (out / "README.md").write_text(with_usage(text, library, str(out), config), "utf-8")


@dataclass(frozen=True)
class TrainedModel:
    """A fine-tuned model with its base; of an adapter the base is the same model with the adapter switched off.

    base: None where the base was random weights.
    """

    tokenizer: Any
    tuned: Any
    base: Any

    @contextmanager
    def as_base(self) -> Iterator[Any]:
        """Give the base; the fine-tuned model must not be used within the block."""
        if self.base is not self.tuned:
            yield self.base
            return
        with self.tuned.disable_adapter():
            yield self.tuned


def load_trained(folder: Path, config: Config) -> TrainedModel:
    """Load the model of a run folder, and its base.

    Raises:
        ModelError: one of them cannot be loaded.
    """
    saved = saved_model(config.model, folder / "model")
    tokenizer = load_tokenizer(saved, [])
    tuned = load_model(saved, config.peft, config.hardware, tokenizer, config.seed)
    if holds_adapter(folder / "model"):
        return TrainedModel(tokenizer, tuned, tuned)
    if config.model.architecture is not None:
        return TrainedModel(tokenizer, tuned, None)
    return TrainedModel(
        tokenizer, tuned, load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
    )
