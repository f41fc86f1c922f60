"""Bring what runs need from the model hub to the cache of this machine, for nodes that have no way out.

    python -m mcqa.prefetch <the arguments of mcqa.train>

Nothing is trained and no job is sent. Of a --multirun all choices are brought: every value of a list such as
model=a,b, and of a study every value that its space lists.
"""

import sys
from pathlib import Path

from rich.console import Console

from mcqa import offline
from mcqa.config import Config, typed
from mcqa.door import Tree, open_door
from mcqa.errors import McqaError, ModelError
from mcqa.sweep.backends import cluster


def main(tree: Tree, overrides: list[str]) -> None:
    if tree["from_run"] is not None:
        from mcqa.repeating import repeated

        tree = repeated(tree, overrides)
    bring([tree])


def bring(trees: list[Tree]) -> None:
    """
    Raises:
        ModelError: with everything that could not be brought.
    """
    console = Console()

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    needed: list[offline.Need] = []
    for tree in trees:
        needed += [need for need in offline.needs(typed(tree, Config)) if need not in needed]
    if not needed:
        return say("There is nothing to bring: the model and the questions are embedded or lie in folders of yours.")
    dry = any(tree["dry_run"] for tree in trees)
    problems = []
    for need in needed:
        name = f"{need.data.hub} {need.data.hub_config or ''}".strip() if isinstance(need, offline.Table) else need.name
        if not offline.lacking(need):
            say(f"{name}: in the cache")
        elif dry:
            say(f"{name}: would be brought")
        else:
            try:
                say(f"{name}: brought to {offline.bring(need)}")
            except McqaError as error:
                problems.append(str(error))
    for warning in cluster.unseen({"The cache": Path(offline.place())}):
        say(f"Warning: {warning} HF_HOME moves it.")
    if problems:
        raise ModelError("\n".join(problems))


if __name__ == "__main__":
    if {"--help", "-h"} & set(sys.argv[1:]):
        sys.exit(print((__doc__ or "").strip()))
    open_door("config", Config, main, instead_of_jobs=bring)
