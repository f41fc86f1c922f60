"""The sweeper, and the folder where Hydra finds its options. Hydra imports it at every start: keep it light."""

from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class McqaSweeper(Sweeper):
    """Options are those of conf/hydra/sweeper/mcqa.yaml; mcqa.sweep.driver does the work."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def sweep(self, arguments: list[str]) -> Any:
        from mcqa.sweep import driver

        return driver.sweep(self.config, self.hydra_context, self.task_function, arguments)


class McqaSweeperOptions(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("mcqa-sweeper", (Path(__file__).parent / "conf").as_uri())
