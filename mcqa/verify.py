"""Show on a configuration of your own, at small size, that what must change nothing changes nothing.

python -m mcqa.verify resume [the arguments of mcqa.train]
python -m mcqa.verify accumulation [the arguments of mcqa.train]
"""

import sys
from functools import partial

from mcqa.config import Config, typed
from mcqa.door import Tree, open_door
from mcqa.errors import ConfigError, nearest
from mcqa.repeating import repeated

PROPERTIES = ("resume", "accumulation")


def main(what: str, held: list[bool], tree: Tree, overrides: list[str]) -> None:
    """Show one of PROPERTIES; whether it held goes into `held`."""
    if tree["from_run"] is not None:
        tree = repeated(tree, overrides)
    config = typed(tree, Config)
    if config.dry_run or config.resume is not None:
        raise ConfigError("dry_run and resume are for mcqa.train; mcqa.verify trains a little, in a folder of its own.")
    from rich.console import Console

    from mcqa import hardware, verified

    hardware.check(config.hardware)
    hardware.use_one_gpu()
    held.append(verified.SHOW[what](config, Console()))


def all_doors() -> None:
    """The first word says what to show. A property that does not hold is status 1."""
    if not {"--help", "-h"} & set(sys.argv[1:]):
        if len(sys.argv) < 2 or sys.argv[1] not in PROPERTIES:
            word = sys.argv[1] if len(sys.argv) > 1 else "nothing"
            sys.exit(
                f"The first word must be one of {', '.join(PROPERTIES)}, got {word}.{nearest(word, PROPERTIES)} "
                "Then come the arguments of mcqa.train."
            )
        what = sys.argv.pop(1)
    else:
        what = PROPERTIES[0]
    held: list[bool] = []
    open_door("verify", Config, partial(main, what, held))
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    all_doors()
