"""Show on a configuration of your own, at small size, that what must change nothing changes nothing.

python -m mcqa.verify resume [the arguments of mcqa.train]
python -m mcqa.verify accumulation [the arguments of mcqa.train]
"""

import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from mcqa.config.command import hydra_command
from mcqa.config.errors import ConfigError, nearest
from mcqa.config.schema import Config, ConfigDict
from mcqa.config.validation import typed
from mcqa.runs.files import write_yaml
from mcqa.runs.repeat import repeated_config
from mcqa.sweep.adapter import RunHooks

PROPERTIES = ("resume", "accumulation")


def main(what: str, held: list[bool], config_dict: ConfigDict, overrides: list[str]) -> None:
    """Show one of PROPERTIES; whether it held goes into `held`."""
    if config_dict["from_run"] is not None:
        config_dict = repeated_config(config_dict, overrides)
    config = typed(config_dict, Config)
    if config.dry_run or config.resume is not None:
        raise ConfigError("dry_run and resume are for mcqa.train; mcqa.verify trains a little, in a folder of its own.")
    from mcqa.models import devices
    from mcqa.runs import processes

    devices.check(config.hardware)
    with ExitStack() as stack:
        make = partial(_folder, config, config_dict, what, stack)
        held.append(run(config, processes.folder_of_first(config.hardware, make)))


def _folder(config: Config, config_dict: ConfigDict, what: str, stack: ExitStack) -> Path:
    """Named after what is to be shown, until all is over; processes on several machines share the outputs alone."""
    shared = Path(config.outputs).absolute() if config.hardware.nodes > 1 else None
    if shared is not None:
        shared.mkdir(parents=True, exist_ok=True)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcqa-verify-", dir=shared))) / what
    folder.mkdir()
    write_yaml(folder / "config.yaml", config_dict)
    return folder


def run(config: Config, folder: Path) -> bool:
    """Whether what the folder is named after held, as each of the processes learns."""
    from rich.console import Console

    from mcqa.models.devices import use_one_gpu
    from mcqa.runs import launch, processes
    from mcqa.runs.failures import raise_first_failure
    from mcqa.training import verification

    if processes.must_start_processes(config.hardware):
        launch.start("mcqa.verify", config.hardware, folder)
        return (folder / "held").exists()
    processes.join(config.hardware)
    use_one_gpu()
    with raise_first_failure(config.hardware):
        held = verification.SHOW[folder.name](config, folder, Console(quiet=not processes.is_first()))
        if held := held and processes.is_first():
            (folder / "held").touch()
        return processes.all_reduce_sum([held]) == [1.0]  # which also waits until all are through with the folder


def command() -> None:
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
    hydra_command("verify", Config, partial(main, what, held), hooks=RunHooks("verify", Config))
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    command()
