"""What Hydra gave the sweeper, what an app may add, and a trial's configuration written down.

An app may say more about its trials by an attribute `hooks` of its task function; none of it is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
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

    def check(
        self, tree: Tree, space: "Space", metric: str | None, directions: Sequence[Direction], pruned: bool
    ) -> list[str]:
        """What is wrong with studying this space from this base configuration."""

    def direction(self, tree: Tree) -> Direction:
        """Of the metric, where hydra.sweeper.direction leaves it open."""

    def observers(self, tree: Tree, folder: Path, params: Mapping[str, Any]) -> "Sequence[Observer]":
        """Who is told how the study goes."""

    def finished(self, summary: "Summary", complete: bool) -> None:
        """At the end of a study, after its report is written."""

    # asked only where jobs go to a cluster

    def missing(self, trees: Sequence[Tree]) -> list[str]:
        """What these configurations need and a node without a network could not get."""

    def variables(self, tree: Tree) -> Mapping[str, str]:
        """Of the environment of a job."""

    def memory(self, trees: Sequence[Tree]) -> tuple[list[str], list[str]]:
        """What jobs with these need of each GPU, for the user, and which of them cannot have it."""

    def seconds(self, tree: Tree) -> list[float]:
        """How long earlier runs like this one took."""


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
        """The configuration without what is swept; what only a job can resolve stays as it is written."""
        return plain(self.config, lenient=True)

    @property
    def is_dry_run(self) -> bool:
        """Asked to show what would run, by a key of that name in the app's configuration."""
        return bool(self.config.get("dry_run"))

    @property
    def fixed(self) -> list[str]:
        """The arguments that sweep over nothing."""
        parsed = OverridesParser.create().parse_overrides(self.arguments)
        return [text for text, one in zip(self.arguments, parsed, strict=True) if not one.is_sweep_override()]

    @property
    def hydra(self) -> Any:
        return self.config.hydra

    @cached_property
    def composed(self) -> Composer:
        return Composer(self.config, self.context)

    def problems(self, tree: Tree, overrides: Sequence[str]) -> list[str]:
        """What is wrong with a configuration, after the app has filled in what it resolves itself."""
        theirs = cast(list[str], OmegaConf.to_container(self.hydra.overrides.hydra, resolve=False))
        return self.hooks.complete(tree, [*theirs, *overrides]) if self.hooks else []

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

    @property
    def is_placed_by_name(self) -> bool:
        """Whether the name, given as hydra.sweeper.study_name, is all that it takes to find the folder again."""
        text = OmegaConf.to_container(self.hydra.sweep, resolve=False)["dir"]
        return "${hydra.sweeper.study_name}" in text and "${now:" not in text

    def of_job(self, folder: Path, number: int, overrides: Sequence[str]) -> tuple[DictConfig, Tree]:
        """What is composed for a trial of the study in `folder`, and the app's part of it resolved.

        As with any job of Hydra, a value that cannot be resolved is the app's affair, unless it checks its values.

        Raises:
            ConfigError: Hydra cannot compose it.
        """
        with told(overrides):
            config = self.composed(overrides)
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.sweep.dir, config.hydra.sweep.subdir = str(folder), f"trials/{number}"
                config.hydra.runtime.output_dir = str(folder / "trials" / str(number))
                config.hydra.job.num, config.hydra.job.id = number, f"{folder.name}/{number}"
            return config, plain(config, lenient=self.hooks is None)

    def write_trial(self, folder: Path, number: int, overrides: Sequence[str]) -> Path:
        """Compose a trial and write what runs into its folder, config.yaml last: with it the trial can be submitted.

        Raises:
            ConfigError: with what is wrong with it.
        """
        target = folder / "trials" / str(number)
        config, tree = self.of_job(folder, number, overrides)
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


def plain(config: DictConfig, lenient: bool = False) -> Tree:
    """The app's part, without hydra's own node; resolved as in the job, `${hydra:…}` too.

    lenient: values that cannot be resolved stay as they are written.
    """
    names = [str(key) for key in config if key != "hydra"]
    own = OmegaConf.masked_copy(config, cast(Any, names))
    as_written = cast(Tree, OmegaConf.to_container(own, resolve=False))
    if not lenient and "${hydra:" not in str(as_written):
        return cast(Tree, OmegaConf.to_container(own, resolve=True))
    with _as_in_a_job(config):
        return _resolved(own, as_written) if lenient else cast(Tree, OmegaConf.to_container(own, resolve=True))


@contextmanager
def _as_in_a_job(config: DictConfig) -> Iterator[None]:
    """HydraConfig, one a process, is what a job of this configuration would see."""
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg
    try:
        hydra_config.cfg = OmegaConf.masked_copy(config, "hydra")
        yield
    finally:
        hydra_config.cfg = before


def _resolved(node: Any, as_written: Any) -> Any:
    if isinstance(node, DictConfig):
        return {key: _value(node, key, as_written[key]) for key in as_written}
    if isinstance(node, ListConfig):
        return [_value(node, place, one) for place, one in enumerate(as_written)]
    return node


def _value(node: Any, key: Any, as_written: Any) -> Any:
    if OmegaConf.is_missing(node, key):
        return as_written
    try:
        found = node[key]
        return OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found
    except OmegaConfBaseException:
        return as_written if isinstance(as_written, str) else _resolved(node._get_node(key), as_written)
