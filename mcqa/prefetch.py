"""Bring what runs need from the model hub to the cache of this machine, for nodes that have no way out.

    python -m mcqa.prefetch <the arguments of mcqa.train>
    python -m mcqa.prefetch evaluate <the arguments of mcqa.evaluate>

Nothing is trained and no job is sent. Of a --multirun all choices are brought: every value of a list such as
model=a,b, and of a study every value that its space lists.
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
from mcqa.runs.filesystem import unseen
from mcqa.sweep.adapter import RunHooks


def main(kind: type[Config], tree: ConfigDict, overrides: list[str]) -> None:
    if tree.get("run") is not None:
        from mcqa.runs.repeat import config_of_evaluated_run

        tree = config_of_evaluated_run(tree, overrides)
    elif tree["from_run"] is not None:
        from mcqa.runs.repeat import repeated_config

        tree = repeated_config(tree, overrides)
    download_all(kind, [tree])


def download_all(kind: type[Config], trees: list[ConfigDict]) -> None:
    """
    Raises:
        ModelError: with everything that could not be brought.
    """
    console = Console()

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    needed: list[hub_cache.Requirement] = []
    for tree in trees:
        needed += [
            need for need in hub_cache.requirements(hub_cache.effective_config(tree, kind)) if need not in needed
        ]
    if not needed:
        return say("There is nothing to bring: the model and the questions are embedded or lie in folders of yours.")
    dry = any(tree["dry_run"] for tree in trees)
    problems = []
    for need in needed:
        name = (
            f"{need.data.hub} {need.data.hub_config or ''}".strip()
            if isinstance(need, hub_cache.DatasetSplits)
            else need.name
        )
        if not hub_cache.missing_files(need):
            say(f"{name}: in the cache")
        elif dry:
            say(f"{name}: would be brought")
        else:
            try:
                say(f"{name}: brought to {hub_cache.download(need)}")
            except McqaError as error:
                problems.append(str(error))
    for warning in unseen({"The cache": Path(hub.cache_folder())}):
        say(f"Warning: {warning} HF_HOME moves it.")
    if problems:
        raise ModelError("\n".join(problems))


def command() -> None:
    """A first word `evaluate` says whose arguments follow."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        sys.exit(print((__doc__ or "").strip()))
    to_measure = sys.argv[1:2] == ["evaluate"]
    if to_measure:
        sys.argv.pop(1)
    kind = EvaluateConfig if to_measure else Config
    name = "evaluate" if to_measure else "config"
    hydra_command(
        name,
        kind,
        partial(main, kind),
        hooks=RunHooks(name, kind),
        many=to_measure,
        instead_of_jobs=partial(download_all, kind),
    )


if __name__ == "__main__":
    command()
