"""From `--multirun` on: Hydra hands over here, and the options say whether it is a study or a plain product.

compose.py has what Hydra gave us, hooks.py what an app may add, options.py the keys of hydra.sweeper.
"""

from typing import Any, cast

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mcqa.config.schema import ConfigDict
from mcqa.sweep import dry_run, run_product, run_study
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.options import Options, options_of
from mcqa.sweep.run_study import space_of


def sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: list[str]) -> list[Any]:
    """Run the study or the product that `config.hydra.sweeper` and the command line ask for.

    Returns:
        The values of the trials or jobs by number; nothing where dry_run is set.

    Raises:
        ConfigError: before anything is submitted.
        SweepError: it ended early, or jobs of a product failed.
    """
    vars(task)["composed"] = True  # for the app's command: what is raised from here on is not Hydra's composing
    hydra_sweep = HydraSweep(config, context, task, arguments)
    options = options_of(cast(ConfigDict, OmegaConf.to_container(config.hydra.sweeper, resolve=True)))
    if instead := getattr(task, "instead_of_jobs", None):
        return [instead(_configs(hydra_sweep, options))]
    return run_study.run(hydra_sweep, options) if options.is_study else run_product.run(hydra_sweep, options)


def _configs(hydra_sweep: HydraSweep, options: Options) -> list[ConfigDict]:
    """The configuration of every job; of a study as far as they can be known before."""
    if not options.is_study:
        jobs = run_product.jobs(hydra_sweep, options)
        return run_product.configurations(hydra_sweep, hydra_sweep.folder_for(hydra_sweep.default_name), jobs)
    config_dict = hydra_sweep.base
    hydra_sweep.problems(config_dict, hydra_sweep.fixed)
    return list(dry_run.sampled_configs(hydra_sweep, space_of(hydra_sweep, options, config_dict)))
