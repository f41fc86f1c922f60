"""What Hydra hands to the sweeper, and the configuration of a trial: composed, resolved and written."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from mcqa.config.errors import ConfigError
from mcqa.config.schema import ConfigDict
from mcqa.runs.files import write_yaml
from mcqa.sweep.hooks import Hooks

CACHE_SIZE = 64  # combinations of group options, about a megabyte each


class Composer:
    """Composes the configurations of trials. An override that sets a value is applied to a cached composition.

    config: what Hydra handed to the sweeper, whose resolved times and the like hold for every trial.
    """

    def __init__(self, config: DictConfig, context: HydraContext) -> None:
        self._config, self._loader = config, context.config_loader
        self._cache: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, bool] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """Compose what Hydra's loader would for a job of --multirun with these overrides.

        Raises:
            HydraException, OmegaConfBaseException: it cannot be composed.
        """
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [override for override in parsed if self._is_value(override)]
        rest = tuple(override.input_line for override in parsed if not self._is_value(override))
        config = copy.deepcopy(self._cached(rest))
        for override in values:
            try:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            except (ConfigAttributeError, ConfigKeyError) as error:
                raise ConfigCompositionException(f"Could not override '{override.key_or_group}': {error}") from error
        with read_write(config.hydra), open_dict(config.hydra):
            own = [override for override in parsed if not override.is_hydra_override()]
            config.hydra.overrides.task = [override.input_line for override in own]
            style = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = get_overrides_dirname(
                own, kv_sep=style.kv_sep, item_sep=style.item_sep, exclude_keys=style.exclude_keys
            )
        return config

    def _cached(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._cache:
            if len(self._cache) >= CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
            self._cache[overrides] = self._loader.load_sweep_config(self._config, list(overrides))
        return self._cache[overrides]

    def _is_value(self, override: Any) -> bool:
        """Whether it is `key=value`, which leaves the choice of groups as it is."""
        added = override.is_add() or override.is_force_add() or override.is_delete()
        if added or override.package is not None or override.is_hydra_override():
            return False
        name = override.key_or_group
        if name not in self._groups:
            self._groups[name] = "/" in name or bool(self._loader.get_group_options(name))
        return not self._groups[name]


@dataclass
class HydraSweep:
    """What Hydra hands to the sweeper."""

    config: DictConfig  # composed without what is swept
    context: HydraContext
    task: TaskFunction  # the app's; its attribute `hooks`, where it has one, says more about its trials (see hooks.py)
    arguments: list[str]  # the overrides as typed

    @property
    def hooks(self) -> Hooks | None:
        return getattr(self.task, "hooks", None)

    @property
    def base(self) -> ConfigDict:
        """The app's configuration without what is swept; what only a job can resolve stays as it is written."""
        return app_config(self.config, lenient=True)

    @property
    def is_dry_run(self) -> bool:
        """Whether to show what would run, by a key of that name in the app's configuration."""
        return bool(self.config.get("dry_run"))

    @property
    def fixed(self) -> list[str]:
        """The arguments that sweep over nothing."""
        parsed = OverridesParser.create().parse_overrides(self.arguments)
        pairs = zip(self.arguments, parsed, strict=True)
        return [text for text, override in pairs if not override.is_sweep_override()]

    @property
    def hydra(self) -> Any:
        return self.config.hydra

    @cached_property
    def composer(self) -> Composer:
        return Composer(self.config, self.context)

    def problems(self, config_dict: ConfigDict, overrides: Sequence[str]) -> list[str]:
        """Let the app fill in what it resolves itself, and return what is wrong with the configuration then."""
        of_hydra = cast(list[str], OmegaConf.to_container(self.hydra.overrides.hydra, resolve=False))
        return self.hooks.complete(config_dict, [*of_hydra, *overrides]) if self.hooks else []

    def base_with(self, overrides: Sequence[str]) -> ConfigDict:
        """Return `base` with these overrides, completed by the app as far as it can be.

        Raises:
            ConfigError: Hydra cannot compose it.
        """
        with hydra_errors_as_config_errors(overrides):
            config_dict = app_config(self.composer(overrides), lenient=True)
        self.problems(config_dict, overrides)  # of a trial, they are found when it is written
        return config_dict

    @property
    def choices(self) -> ConfigDict:
        """The option that is chosen in each group."""
        return cast(ConfigDict, OmegaConf.to_container(self.hydra.runtime.choices))

    @property
    def default_name(self) -> str:
        """The name of a study: <sweeps>-<experiment> where these groups were chosen, else the job's name."""
        names = [self.choices.get("sweeps"), self.choices.get("experiment")]
        return "-".join(str(name) for name in names if name) or str(self.hydra.job.name)

    def folder_for(self, name: str, resumable: bool = False) -> Path:
        """Return hydra.sweep.dir for a study of this name, and set both in the configuration.

        resumable: the name takes the place of a time in it, as in Hydra's default multirun/${now:…}.
        """
        with read_write(self.config), open_dict(self.config):
            self.config.hydra.sweeper.study_name = name
            above, timed, _ = OmegaConf.to_container(self.hydra.sweep, resolve=False)["dir"].partition("${now:")
            if resumable and timed:
                self.config.hydra.sweep.dir = f"{above}{name}"
        return Path(str(self.hydra.sweep.dir)).absolute()

    @property
    def is_placed_by_name(self) -> bool:
        """Whether the name, given as hydra.sweeper.study_name, is all that it takes to find the folder again."""
        text = OmegaConf.to_container(self.hydra.sweep, resolve=False)["dir"]
        return "${hydra.sweeper.study_name}" in text and "${now:" not in text

    def compose_job(self, folder: Path, number: int, overrides: Sequence[str]) -> tuple[DictConfig, ConfigDict]:
        """Return what is composed for a trial of the study in `folder`, and the app's part of it resolved.

        A value that cannot be resolved stays as it is written, as with any job of Hydra, unless the app has hooks.

        Raises:
            ConfigError: Hydra cannot compose it.
        """
        with hydra_errors_as_config_errors(overrides):
            config = self.composer(overrides)
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.sweep.dir, config.hydra.sweep.subdir = str(folder), f"trials/{number}"
                config.hydra.runtime.output_dir = str(folder / "trials" / str(number))
                config.hydra.job.num, config.hydra.job.id = number, f"{folder.name}/{number}"
            return config, app_config(config, lenient=self.hooks is None)

    def write_trial(self, folder: Path, number: int, overrides: Sequence[str]) -> Path:
        """Compose a trial and write its configuration into its folder, config.yaml last.

        Raises:
            ConfigError: with what is wrong with it.
        """
        target = folder / "trials" / str(number)
        config, config_dict = self.compose_job(folder, number, overrides)
        if problems := self.problems(config_dict, overrides):
            raise ConfigError("\n".join(problems))
        target.mkdir(parents=True, exist_ok=True)
        node = OmegaConf.masked_copy(config, ["hydra"])
        write_yaml(target / "hydra.yaml", OmegaConf.to_container(node, enum_to_str=True))
        write_yaml(target / "overrides.yaml", list(overrides))
        write_yaml(target / "config.yaml", config_dict)
        return target


@contextmanager
def hydra_errors_as_config_errors(overrides: Sequence[str]) -> Iterator[None]:
    """A trial that Hydra cannot compose fails, and not the study."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        message = " ".join(str(error).split())
        raise ConfigError(f"{' '.join(overrides)}: no configuration can be composed: {message}") from error


def app_config(config: DictConfig, lenient: bool = False) -> ConfigDict:
    """Return the app's part, without hydra's own node; resolved as in the job, `${hydra:…}` too.

    lenient: values that cannot be resolved stay as they are written.
    """
    names = [str(key) for key in config if key != "hydra"]
    own = OmegaConf.masked_copy(config, cast(Any, names))
    as_written = cast(ConfigDict, OmegaConf.to_container(own, resolve=False))
    with _as_in_a_job(config) if lenient or "${hydra:" in str(as_written) else nullcontext():
        return _resolved(own, as_written) if lenient else cast(ConfigDict, OmegaConf.to_container(own, resolve=True))


@contextmanager
def _as_in_a_job(config: DictConfig) -> Iterator[None]:
    """Make HydraConfig, of which a process has one, what a job of this configuration would see."""
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
        return [_value(node, index, value) for index, value in enumerate(as_written)]
    return node


def _value(node: Any, key: Any, as_written: Any) -> Any:
    if OmegaConf.is_missing(node, key):
        return as_written
    try:
        value = node[key]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException:
        return as_written if isinstance(as_written, str) else _resolved(node._get_node(key), as_written)
