"""The sweeper, and the folder where Hydra finds its options. Hydra imports it at every start: keep it light."""

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.errors import CompactHydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class McqaSweeper(Sweeper):
    """Options are those of conf/hydra/sweeper/mcqa.yaml; mcqa.sweep.main does the work."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep. An error for users is also raised as one that Hydra shows without a traceback."""
        from mcqa.config.errors import McqaError
        from mcqa.sweep import main

        try:
            return main.sweep(self.config, self.hydra_context, self.task_function, arguments)
        except McqaError as error:
            kind = type(type(error).__name__, (CompactHydraException, type(error)), {})
            raise kind(str(error)) from error


class McqaSweeperOptions(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("mcqa-sweeper", (Path(__file__).parent / "conf").as_uri())
