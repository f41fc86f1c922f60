"""Which launcher of Hydra gets which backend."""

from collections.abc import Mapping
from typing import Any

from mcqa.config.errors import ConfigError
from mcqa.sweep.backends import Backend, LauncherOf, MakeJob


def launcher_class(launcher: Mapping[str, Any]) -> str:
    """Return the name of the class of `hydra.launcher`: SlurmLauncher, LocalLauncher, BasicLauncher …"""
    return str(launcher.get("_target_", "")).rpartition(".")[2]


def make_backend(launcher: Mapping[str, Any], make_job: MakeJob, launcher_of: LauncherOf, slots: int) -> Backend:
    """Return the backend for the composed and resolved `hydra.launcher`.

    Raises:
        ConfigError: the launcher runs whole batches only.
    """
    name = launcher_class(launcher)
    if name == "LocalLauncher":
        from mcqa.sweep.backends.local import Local

        return Local(make_job, launcher_of, slots)
    if name == "SlurmLauncher":
        from mcqa.sweep.backends.slurm import Slurm

        return Slurm(make_job, launcher_of)
    if name == "BasicLauncher":
        from mcqa.sweep.backends.in_process import InProcess

        return InProcess(make_job)
    raise ConfigError(
        f"hydra/launcher: {name or 'none'} cannot run one trial at a time; choose submitit_local (processes on this "
        "machine), submitit_slurm, or basic (within this process, for debugging)."
    )
