"""The processes of one run: which one this is, how they find each other, and collectives over small numbers.

Each process trains on its share of every batch. The environment says which one it is: RANK, WORLD_SIZE and the rest as
torchrun and launch.py set them; or submitit's variables, in a SLURM job of several tasks; or SLURM's own, in a step of
several tasks that the user's srun started. They meet at a TCP store of torch, which needs no shared file system. An
error is recorded there too (failures.py), since a collective would wait for the process that failed.

Importing this module is cheap; torch is imported by the first call that needs it.
"""

import atexit
import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from mcqa.config.errors import ConfigError, ProcessError
from mcqa.config.schema import HardwareConfig

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
SLURM_STEP_VARIABLES = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
PORTS = (20000, 60000)  # of the first process, where nobody names one

STARTED = "MCQA_STARTED"
"""Set in processes that launch.py started: their parent holds the store and reports the failure."""

FAILURE_WAIT_S = 5.0  # for the error of another process, when all that this one knows is that the other is gone


@dataclass(frozen=True)
class Group:
    """This process among the others. local_rank: its number on its machine. hosts: of every process, by rank."""

    rank: int
    local_rank: int
    size: int
    store: Any
    hosts: tuple[str, ...]
    timeout_s: float


_group: Group | None = None


# --- which process this is --------------------------------------------------------------------------------------------


def rank() -> int:
    """Return the rank: 0 for the first process, which alone writes, and for a run of one process."""
    return _group.rank if _group else 0


def is_first() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def process_count(hardware: HardwareConfig) -> int:
    """Return how many processes the run consists of."""
    return hardware.devices * hardware.nodes


def launcher_variables(variables: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return the VARIABLES of this process as a launcher or SLURM set them; None where nobody did.

    Raises:
        ConfigError: some are set and others are missing.
    """
    missing = [name for name in VARIABLES if name not in variables]
    if not missing:
        return variables
    if present := [name for name in VARIABLES[:3] if name in variables]:  # addresses are often set for other uses
        raise ConfigError(
            f"{', '.join(present)} set in the environment and {', '.join(missing)} not, so the processes of a run "
            "cannot find each other. Start with torchrun, which sets all, or unset them."
        )
    return _submitit_variables() if "SUBMITIT_EXECUTOR" in variables else _srun_variables(variables)


def _submitit_variables() -> Mapping[str, str] | None:
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    if JobEnvironment().num_tasks == 1:
        return None
    job = TorchDistributedEnvironment()
    values = (job.rank, job.local_rank, job.world_size, job.master_addr, job.master_port)
    return dict(zip(VARIABLES, map(str, values), strict=True)) | {"LOCAL_WORLD_SIZE": str(job.local_world_size)}


def _srun_variables(variables: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return None in a script or shell of a job, whose SLURM_NTASKS counts the tasks of no step.

    The port is drawn with job and step as the seed: all tasks draw the same one, and two steps on a machine differ.
    """
    if variables.get("SLURM_STEP_NUM_TASKS", "1") == "1":
        return None
    if missing := [name for name in SLURM_STEP_VARIABLES if not variables.get(name)]:
        raise ConfigError(
            f"SLURM_STEP_NUM_TASKS={variables['SLURM_STEP_NUM_TASKS']} says that this is one of several tasks of SLURM "
            f"and {', '.join(missing)} not set, so they cannot find each other. Start with srun, which sets all, or "
            "unset SLURM_STEP_NUM_TASKS to run this process alone."
        )
    from submitit.slurm.slurm import _parse_node_list

    rank, local_rank, size, nodes, job = (variables[name] for name in SLURM_STEP_VARIABLES)
    hosts = _parse_node_list(nodes)
    port = random.Random(f"{job}.{variables.get('SLURM_STEP_ID', 0)}").randint(*PORTS)
    values = (rank, local_rank, size, variables.get("MASTER_ADDR", hosts[0]), variables.get("MASTER_PORT", str(port)))
    return dict(zip(VARIABLES, values, strict=True)) | {"LOCAL_WORLD_SIZE": str(-(-int(size) // len(hosts)))}


def must_start_processes(hardware: HardwareConfig) -> bool:
    """Whether this run needs processes that nobody has started yet.

    Raises:
        ConfigError: they belong on several machines, or another number was started than the configuration asks for.
    """
    variables, count = launcher_variables(os.environ), process_count(hardware)
    if variables is not None:
        if int(variables["WORLD_SIZE"]) != count:
            raise ConfigError(
                f"hardware.devices={hardware.devices}, hardware.nodes={hardware.nodes}: a run of {count} processes, "
                f"but {variables['WORLD_SIZE']} were started. Start as many, or set the two keys."
            )
        return False
    if hardware.nodes > 1:
        raise ConfigError(
            f"hardware.nodes={hardware.nodes}: processes on several machines are started by SLURM "
            f"(hydra/launcher=slurm, with nodes={hardware.nodes} and tasks_per_node={hardware.devices}) or by torchrun "
            "on each of them."
        )
    return count > 1 or hardware.strategy != "ddp"  # DeepSpeed and FSDP need a process group, even of one process


# --- meeting ----------------------------------------------------------------------------------------------------------


def join(hardware: HardwareConfig) -> Group | None:
    """Meet the other processes, once per process; return None in a run of one process.

    Raises:
        ProcessError: some have not come within hardware.timeout_s; it names them.
    """
    global _group
    variables = launcher_variables(os.environ)
    if _group is not None or variables is None:
        return _group
    import torch
    import torch.distributed as dist

    os.environ.update(variables)
    rank, size = int(variables["RANK"]), int(variables["WORLD_SIZE"])
    address, port = variables["MASTER_ADDR"], int(variables["MASTER_PORT"])
    limit = timedelta(seconds=hardware.timeout_s)
    is_master = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        store = dist.TCPStore(address, port, is_master=is_master, timeout=limit, wait_for_workers=False)
        # A second connection, since the first is blocked while a collective waits.
        own_store = dist.TCPStore(address, port, timeout=limit, wait_for_workers=False)
    except dist.DistError as error:
        raise ProcessError(f"the first process cannot be reached at {address}:{port}: {error}") from error
    hosts = _wait_for_all(own_store, rank, size, hardware.timeout_s)
    group = Group(rank, int(variables["LOCAL_RANK"]), size, own_store, hosts, hardware.timeout_s)
    on_gpus = hardware.device == "cuda"
    if on_gpus:
        torch.cuda.set_device(group.local_rank % torch.cuda.device_count())
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpus else "gloo", store=store, rank=rank, world_size=size, timeout=limit
    )
    _set_default_timeout(limit)
    if rank:
        logging.getLogger("mcqa").setLevel(logging.ERROR)  # the warnings of the first process are enough
    _group = group
    atexit.register(_destroy_process_group)
    return group


def _wait_for_all(store: Any, rank: int, size: int, timeout_s: float) -> tuple[str, ...]:
    """Return the host of every process, once all are there."""
    store.set(f"host/{rank}", socket.gethostname())
    until = time.monotonic() + timeout_s
    for other in range(size):
        with suppress(RuntimeError):
            store.wait([f"host/{other}"], timedelta(seconds=max(0.1, until - time.monotonic())))
    if missing := [other for other in range(size) if not store.check([f"host/{other}"])]:
        raise ProcessError(
            f"rank{'s' * (len(missing) > 1)} {', '.join(map(str, missing))} of {size} did not come within "
            f"hardware.timeout_s={timeout_s:g} seconds; the log of that process says why, or its machine cannot reach "
            "this one."
        )
    return tuple(store.get(f"host/{other}").decode() for other in range(size))


def _set_default_timeout(limit: timedelta) -> None:
    """Set it for the groups that DeepSpeed and FSDP make; torch has no setting and would wait half an hour."""
    from torch.distributed import distributed_c10d

    distributed_c10d.default_pg_timeout = limit
    distributed_c10d.default_pg_nccl_timeout = limit


def _destroy_process_group() -> None:
    import torch.distributed as dist

    if _group is not None and not _group.store.check(["failed"]) and dist.is_initialized():
        dist.destroy_process_group()  # after a failure it would wait for processes that are gone


# --- collectives ------------------------------------------------------------------------------------------------------


def broadcast(value: int) -> int:
    """Return the value that the first process has. Every process must call it, at the same place."""
    return int(_over_ranks([value], lambda dist, tensor: dist.broadcast(tensor, 0))[0])


def all_reduce_sum(values: Sequence[float]) -> list[float]:
    """Return the sum of each value over all processes. Every process must call it, at the same place."""
    return _over_ranks(values, lambda dist, tensor: dist.all_reduce(tensor))


def any_rank(flags: Sequence[bool]) -> list[bool]:
    """Return for each flag whether any process has it. Every process must call it, at the same place."""
    raised = _over_ranks(flags, lambda dist, tensor: dist.all_reduce(tensor, dist.ReduceOp.MAX))
    return [bool(flag) for flag in raised]


def min_over_ranks(value: int) -> int:
    """Return the smallest value that any process has. Every process must call it, at the same place."""
    return int(_over_ranks([value], lambda dist, tensor: dist.all_reduce(tensor, dist.ReduceOp.MIN))[0])


def _over_ranks(values: Sequence[float], collective: Callable[[Any, Any], Any]) -> list[float]:
    """Apply a collective of torch.distributed, over gloo on the CPU, whatever the process trains on."""
    if world_size() == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    tensor = torch.tensor(values, dtype=torch.float64)  # exact for integers to 2**53
    collective(dist, tensor)
    return [float(value) for value in tensor]


def world_size() -> int:
    """Return how many processes have met; torch is not imported for it."""
    dist = sys.modules.get("torch.distributed")
    return dist.get_world_size() if dist and dist.is_available() and dist.is_initialized() else 1


def folder_of_first(hardware: HardwareConfig, make: Callable[[], Path]) -> Path:
    """Return the folder that `make` returns in the first process; the others exit where it failed there."""
    if must_start_processes(hardware) or (group := join(hardware)) is None:
        return make()
    if group.rank:
        folder = group.store.get("folder").decode()
        return Path(folder) if folder else sys.exit(1)
    made = None
    try:
        made = make()
    finally:
        group.store.set("folder", str(made or ""))
    return made
