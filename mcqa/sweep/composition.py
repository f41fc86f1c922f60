"""The configurations of trials: composed by Hydra once for every choice of groups, and not once a trial.

A study's trials differ in plain values far more often than in groups. Composing takes Hydra a third of a second;
putting values into a copy of what was composed takes a tenth of that. It also keeps a study to the files that it began
with: what somebody edits in conf/ while it runs reaches no later trial of the same groups.
"""

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

KEPT = 64  # choices of groups, about a megabyte each


class Composer:
    def __init__(self, config: DictConfig, context: HydraContext) -> None:
        """config: what Hydra gave the sweeper, whose resolved times and the like hold for every trial."""
        self._config, self._loader = config, context.config_loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, bool] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """As Hydra's loader would compose it for a job of --multirun with these overrides.

        Raises:
            HydraException, OmegaConfBaseException: it cannot be.
        """
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        values = [override for override in parsed if self._is_value(override)]
        rest = tuple(override.input_line for override in parsed if not self._is_value(override))
        config = copy.deepcopy(self._with(rest))
        for override in values:
            try:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            except (ConfigAttributeError, ConfigKeyError) as error:
                raise ConfigCompositionException(f"Could not override '{override.key_or_group}': {error}") from error
        with read_write(config.hydra), open_dict(config.hydra):
            own = [override for override in parsed if not override.is_hydra_override()]
            config.hydra.overrides.task = [override.input_line for override in own]
            config.hydra.job.override_dirname = get_overrides_dirname(own, **_style(config))
        return config

    def _with(self, rest: tuple[str, ...]) -> DictConfig:
        if rest not in self._composed:
            if len(self._composed) >= KEPT:
                self._composed.pop(next(iter(self._composed)))
            self._composed[rest] = self._loader.load_sweep_config(self._config, list(rest))
        return self._composed[rest]

    def _is_value(self, override: Any) -> bool:
        """`key=value`, which changes nothing of what is composed."""
        added = override.is_add() or override.is_force_add() or override.is_delete()
        if added or override.package is not None or override.is_hydra_override():
            return False
        name = override.key_or_group
        if name not in self._groups:
            self._groups[name] = "/" in name or bool(self._loader.get_group_options(name))
        return not self._groups[name]


def _style(config: DictConfig) -> dict[str, Any]:
    style = config.hydra.job.config.override_dirname
    return {"kv_sep": style.kv_sep, "item_sep": style.item_sep, "exclude_keys": style.exclude_keys}
