"""What Hydra gave the sweeper, what an app may add, and a trial's configuration written down.

An app may say more about its trials by an attribute `hooks` of its task function; none of it is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from mcqa import run_folder
from mcqa.errors import ConfigError
from mcqa.sweep import storage
from mcqa.sweep.composition import Composer
from mcqa.sweep.options import Direction

if TYPE_CHECKING:
    from mcqa.sweep.loop import Observer
    from mcqa.sweep.report import Summary
    from mcqa.sweep.space import Space

Tree = dict[str, Any]


class Hooks(Protocol):
    """What an app may add. Every configuration is a plain tree, resolved and without hydra's own node."""

    def complete(self, tree: Tree, overrides: Sequence[str]) -> list[str]:
        """Fill in what the app resolves itself; returns what is wrong with a configuration before it is submitted."""

    def check(self, tree: Tree, space: "Space", pruned: bool) -> list[str]:
        """What is wrong with studying this space from this base configuration."""

    def direction(self, tree: Tree) -> Direction:
        """Of the metric, where hydra.sweeper.direction leaves it open."""

    def observers(self, tree: Tree, folder: Path, params: Mapping[str, Any]) -> "Sequence[Observer]":
        """Who is told how the study goes."""

    def finished(self, summary: "Summary", complete: bool) -> None:
        """At the end of a study, after its report is written."""


@dataclass
class Sweep:
    """What Hydra gave us."""

    config: DictConfig
    context: HydraContext
    task: TaskFunction
    arguments: list[str]

    @property
    def hooks(self) -> Hooks | None:
        return getattr(self.task, "hooks", None)

    @property
    def base(self) -> Tree:
        return plain(self.config)

    @property
    def hydra(self) -> Any:
        return self.config.hydra

    @cached_property
    def composed(self) -> Composer:
        return Composer(self.config, self.context)

    def problems(self, tree: Tree, overrides: Sequence[str]) -> list[str]:
        hydra_overrides = list(self.hydra.overrides.hydra)
        return self.hooks.complete(tree, [*hydra_overrides, *overrides]) if self.hooks else []

    @property
    def choices(self) -> Tree:
        """The option that stands for every group."""
        return cast(Tree, OmegaConf.to_container(self.hydra.runtime.choices))

    @property
    def usual_name(self) -> str:
        """Of a study: <sweeps>-<experiment> where these are groups that were chosen, else the job's name."""
        named = [self.choices.get("sweeps"), self.choices.get("experiment")]
        return "-".join(str(name) for name in named if name) or str(self.hydra.job.name)

    def named(self, name: str, found_again: bool = False) -> Path:
        """hydra.sweep.dir, which may say ${hydra.sweeper.study_name}.

        found_again: the name stands in the place of the time in it, as of Hydra's default multirun/${now:…}.
        """
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.sweeper.study_name = name
            above, timed, _ = OmegaConf.to_container(self.hydra.sweep, resolve=False)["dir"].partition("${now:")
            if found_again and timed:
                self.config.hydra.sweep.dir = f"{above}{name}"
        return Path(str(self.hydra.sweep.dir)).absolute()

    def write_trial(self, folder: Path, number: int, overrides: Sequence[str]) -> Path:
        """Compose a trial and write what runs into its folder, config.yaml last: with it the trial can be submitted.

        Raises:
            ConfigError: with what is wrong with it.
        """
        with told(overrides):
            config = self.composed(overrides)
            tree = plain(config)
        target = folder / "trials" / str(number)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.sweep.dir, config.hydra.sweep.subdir = str(folder), f"trials/{number}"
            config.hydra.job.num, config.hydra.job.id = number, f"{folder.name}/{number}"
        storage.hide(config.hydra)
        if problems := self.problems(tree, overrides):
            raise ConfigError("\n".join(problems))
        target.mkdir(parents=True, exist_ok=True)
        node = OmegaConf.masked_copy(config, ["hydra"])
        run_folder.write_yaml(target / "hydra.yaml", OmegaConf.to_container(node, enum_to_str=True))
        run_folder.write_yaml(target / "overrides.yaml", list(overrides))
        run_folder.write_yaml(target / "config.yaml", tree)
        return target


@contextmanager
def told(overrides: Sequence[str]) -> Iterator[None]:
    """What Hydra cannot compose fails its trial and not the study."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"{' '.join(overrides)}: no configuration can be composed: {said}") from error


def plain(config: DictConfig) -> Tree:
    """Resolved, without hydra's own node."""
    own = OmegaConf.masked_copy(config, [key for key in config if key != "hydra"])
    return cast(Tree, OmegaConf.to_container(own, resolve=True))
