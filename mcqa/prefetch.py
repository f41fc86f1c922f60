"""Download what runs need from the model hub to the cache of this machine, for nodes without internet access.

    python -m mcqa.prefetch <the arguments of mcqa.train>
    python -m mcqa.prefetch evaluate <the arguments of mcqa.evaluate>

Nothing is trained and no job is submitted. With --multirun all choices are downloaded: every value of a list such as
model=a,b, and for a study every value that its search space lists.
"""

import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from mcqa.config.command import hydra_command
from mcqa.config.errors import McqaError, ModelError
from mcqa.config.schema import Config, ConfigDict, EvaluateConfig
from mcqa.data import hub
from mcqa.models import hub_cache
from mcqa.runs.environment import node_local_warnings
from mcqa.runs.repeat import config_of_evaluated_run, repeated_config
from mcqa.sweep.adapter import RunHooks


def main(kind: type[Config], config_dict: ConfigDict, overrides: list[str]) -> None:
    if config_dict.get("run") is not None:
        config_dict = config_of_evaluated_run(config_dict, overrides)
    elif config_dict["from_run"] is not None:
        config_dict = repeated_config(config_dict, overrides)
    download_all(kind, [config_dict])


def download_all(kind: type[Config], config_dicts: list[ConfigDict]) -> None:
    """Download what these configurations need, and print a line for each model and question set.

    Raises:
        ModelError: with everything that could not be downloaded, after the rest has been.
    """
    say = partial(Console().print, highlight=False, markup=False, soft_wrap=True)
    required: list[hub_cache.Requirement] = []
    for config_dict in config_dicts:
        config = hub_cache.effective_config(config_dict, kind)
        required += [new for new in hub_cache.requirements(config) if new not in required]
    if not required:
        return say("Nothing to download: the model and the questions are embedded or in local folders.")
    problems = []
    for requirement in required:
        if hub_cache.missing_message(requirement) is None:
            say(f"{requirement}: in the cache")
        elif any(config_dict["dry_run"] for config_dict in config_dicts):
            say(f"{requirement}: would be downloaded")
        else:
            try:
                say(f"{requirement}: downloaded to {requirement.download()}")
            except McqaError as error:
                problems.append(str(error))
    for warning in node_local_warnings({"The cache": Path(hub.cache_folder())}):
        say(f"Warning: {warning} HF_HOME moves it.")
    if problems:
        raise ModelError("\n".join(problems))


def command() -> None:
    """Run as `mcqa.evaluate` would with the arguments after a first word `evaluate`, else as `mcqa.train` would."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        sys.exit(print((__doc__ or "").strip()))
    evaluates = sys.argv[1:2] == ["evaluate"]
    if evaluates:
        sys.argv.pop(1)
    name, kind = ("evaluate", EvaluateConfig) if evaluates else ("config", Config)
    hooks, download = RunHooks(name, kind), partial(download_all, kind)
    hydra_command(name, kind, partial(main, kind), hooks=hooks, many=evaluates, instead_of_jobs=download)


if __name__ == "__main__":
    command()
