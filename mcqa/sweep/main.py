"""From `--multirun` on: Hydra hands over here, and the options say whether it is a study or a plain product.

given.py has what Hydra gave us and what an app may add, options.py the keys of hydra.sweeper.
"""

from typing import Any, cast

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mcqa.sweep import dry_run, run_product, run_study
from mcqa.sweep.compose import HydraSweep
from mcqa.sweep.hooks import ConfigDict
from mcqa.sweep.options import Options, options_of
from mcqa.sweep.run_study import space_of


def sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: list[str]) -> list[Any]:
    """Run the study or the product that `config.hydra.sweeper` and the command line ask for.

    Returns the values of the trials by number. Raises ConfigError before anything is submitted.
    """
    vars(task)["composed"] = True  # for the app's door: what is raised from here on is not Hydra's composing
    given = HydraSweep(config, context, task, arguments)
    options = options_of(cast(ConfigDict, OmegaConf.to_container(config.hydra.sweeper, resolve=True)))
    if instead := getattr(task, "instead_of_jobs", None):
        return [instead(_configurations(given, options))]
    return run_study.run(given, options) if options.is_study else run_product.run(given, options)


def _configurations(given: HydraSweep, options: Options) -> list[ConfigDict]:
    """Of every job; of a study as far as they can be known before."""
    if not options.is_study:
        return run_product.configurations(given, given.named(given.usual_name), run_product.jobs(given, options))
    tree = given.base
    given.problems(tree, given.fixed)
    return list(dry_run.trees_of(given, space_of(given, options, tree)))
