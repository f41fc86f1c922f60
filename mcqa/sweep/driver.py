"""From `--multirun` on: Hydra hands over here, and the options say whether it is a study or a plain product.

given.py has what Hydra gave us and what an app may add, options.py the keys of hydra.sweeper.
"""

from typing import Any, cast

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mcqa.sweep import dispatch, product, search
from mcqa.sweep.asked import space_of
from mcqa.sweep.given import Sweep, Tree
from mcqa.sweep.options import Options, options_of


def sweep(config: DictConfig, context: HydraContext, task: TaskFunction, arguments: list[str]) -> list[Any]:
    """Run the study or the product that `config.hydra.sweeper` and the command line ask for.

    Returns the values of the trials by number. Raises ConfigError before anything is submitted.
    """
    vars(task)["composed"] = True  # for the app's door: what is raised from here on is not Hydra's composing
    given = Sweep(config, context, task, arguments)
    options = options_of(cast(Tree, OmegaConf.to_container(config.hydra.sweeper, resolve=True)))
    if instead := getattr(task, "instead_of_jobs", None):
        return [instead(_configurations(given, options))]
    return search.run(given, options) if options.is_study else product.run(given, options)


def _configurations(given: Sweep, options: Options) -> list[Tree]:
    """Of every job; of a study as far as they can be known before."""
    if not options.is_study:
        return product.configurations(given, given.named(given.usual_name), product.jobs(given, options))
    tree = given.base
    given.problems(tree, given.fixed)
    return list(dispatch.trees_of(given, space_of(given, options, tree)))
