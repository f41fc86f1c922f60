"""Check a configuration: a few updates at small size show whether two trainings that must agree do agree.

python -m mcqa.verify resume [the arguments of mcqa.train]
python -m mcqa.verify accumulation [the arguments of mcqa.train]
python -m mcqa.verify choice [the arguments of mcqa.train]
python -m mcqa.verify packing [the arguments of mcqa.train]
python -m mcqa.verify determinism [the arguments of mcqa.train]
"""

import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from mcqa.config.command import hydra_command
from mcqa.config.commands import CHECKS
from mcqa.config.errors import ConfigError, nearest
from mcqa.config.schema import Config, ConfigDict
from mcqa.config.validation import typed
from mcqa.runs.files import write_yaml
from mcqa.runs.repeat import repeated_config
from mcqa.sweep.adapter import RunHooks


def main(check: str, passed: list[bool], config_dict: ConfigDict, overrides: list[str]) -> None:
    """Run one of CHECKS, and append to `passed` whether it passed."""
    if config_dict["from_run"] is not None:
        config_dict = repeated_config(config_dict, overrides)
    config = typed(config_dict, Config)
    if config.dry_run or config.resume is not None:
        raise ConfigError("dry_run and resume are for mcqa.train; mcqa.verify trains a little, in a temporary folder.")
    from mcqa.models import devices
    from mcqa.runs import processes

    devices.check(config.hardware)
    with ExitStack() as stack:
        make = partial(_folder, config, config_dict, check, stack)
        passed.append(run(config, processes.folder_of_first(config.hardware, make)))


def _folder(config: Config, config_dict: ConfigDict, check: str, stack: ExitStack) -> Path:
    """Return a temporary folder named after the check; processes on several machines share nothing but the outputs."""
    shared = Path(config.outputs).absolute() if config.hardware.nodes > 1 else None
    if shared is not None:
        shared.mkdir(parents=True, exist_ok=True)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcqa-verify-", dir=shared))) / check
    folder.mkdir()
    write_yaml(folder / "config.yaml", config_dict)
    return folder


def run(config: Config, folder: Path) -> bool:
    """Run the check that the folder is named after; return in every process whether it passed."""
    from rich.console import Console

    from mcqa.models.devices import use_one_gpu
    from mcqa.runs import launch, processes
    from mcqa.runs.failures import raise_first_failure
    from mcqa.training import verification

    if processes.must_start_processes(config.hardware):
        launch.start("mcqa.verify", config.hardware, folder)
        return (folder / "passed").exists()
    processes.join(config.hardware)
    use_one_gpu()
    with raise_first_failure(config.hardware):
        passed = verification.CHECKS[folder.name](config, folder, Console(quiet=not processes.is_first()))
        if passed := passed and processes.is_first():
            (folder / "passed").touch()
        return processes.all_reduce_sum([passed]) == [1.0]  # the sum also waits until no process uses the folder


def command() -> None:
    """Run the check that the first argument names. The exit status is 1 where it does not pass."""
    check = CHECKS[0]
    if not {"--help", "-h"} & set(sys.argv[1:]):
        word = sys.argv.pop(1) if len(sys.argv) > 1 else "nothing"
        if word not in CHECKS:
            sys.exit(
                f"The first argument must be one of {', '.join(CHECKS)}, got {word}.{nearest(word, CHECKS)} "
                "Then come the arguments of mcqa.train."
            )
        check = word
    passed: list[bool] = []
    hydra_command("verify", Config, partial(main, check, passed), hooks=RunHooks("verify", Config))
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    command()
