"""The processes of one run: which one this is, how they meet, what the first one tells, and whose error it was.

Each process trains on its share of every batch. The environment says who is who: RANK, WORLD_SIZE and the rest as
torchrun sets them, which starting.py sets too; or submitit's, in a SLURM job of several tasks; or SLURM's own, in a
step of several tasks that the user's srun began. Everything that they say to each other besides gradients goes through
torch's store, which needs no shared file system and no collective: an error can be told by a process that the others
wait for in vain.

Importing this module is cheap; torch comes with the first call that needs it.
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
OF_A_STEP = ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_JOB_ID")
PORTS = (20000, 60000)

STARTED = "MCQA_STARTED"
"""Set for processes that starting.py started: their parent has the store and reports what went wrong."""

FAILURE_WAIT_S = 5.0  # for the error of another process, when all that this one knows is that it is gone


@dataclass(frozen=True)
class Group:
    """This process among the others. hosts: the machine of every process, by rank."""

    rank: int
    local_rank: int
    size: int
    store: Any
    hosts: tuple[str, ...]
    timeout_s: float


_group: Group | None = None


# --- who is who -------------------------------------------------------------------------------------------------------


def rank() -> int:
    """0 for the first process, which alone writes, and for a run of one process."""
    return _group.rank if _group else 0


def is_first() -> bool:
    return rank() == 0


def process_count(config: HardwareConfig) -> int:
    """How many processes the run consists of."""
    return config.devices * config.nodes


def launcher_variables(variables: Mapping[str, str]) -> Mapping[str, str] | None:
    """The VARIABLES of this process as a launcher or SLURM set them; None where nobody did.

    Raises:
        ConfigError: when some are set and others are missing.
    """
    missing = [name for name in VARIABLES if name not in variables]
    if not missing:
        return variables
    if given := [name for name in VARIABLES[:3] if name in variables]:  # addresses alone are often set for other uses
        raise ConfigError(
            f"{', '.join(given)} set in the environment and {', '.join(missing)} not, so the processes of a run cannot "
            "find each other. Start with torchrun, which sets all, or unset them."
        )
    return _of_submitit() if "SUBMITIT_EXECUTOR" in variables else _of_step(variables)


def _of_submitit() -> Mapping[str, str] | None:
    from submitit import JobEnvironment
    from submitit.helpers import TorchDistributedEnvironment

    if JobEnvironment().num_tasks == 1:
        return None
    job = TorchDistributedEnvironment()
    values = (job.rank, job.local_rank, job.world_size, job.master_addr, job.master_port)
    return dict(zip(VARIABLES, map(str, values), strict=True)) | {"LOCAL_WORLD_SIZE": str(job.local_world_size)}


def _of_step(variables: Mapping[str, str]) -> Mapping[str, str] | None:
    """Of SLURM where srun began several tasks; None in a script or shell of a job, whose SLURM_NTASKS counts no step.

    The port is drawn from job and step: the tasks agree on it without a word, and two steps on a machine do not meet.
    """
    if variables.get("SLURM_STEP_NUM_TASKS", "1") == "1":
        return None
    if missing := [name for name in OF_A_STEP if not variables.get(name)]:
        raise ConfigError(
            f"SLURM_STEP_NUM_TASKS={variables['SLURM_STEP_NUM_TASKS']} says that this is one of several tasks of SLURM "
            f"and {', '.join(missing)} not set, so they cannot find each other. Start with srun, which sets all, or "
            "unset SLURM_STEP_NUM_TASKS for a run of its own."
        )
    from submitit.slurm.slurm import _parse_node_list

    number, local, size, nodes, job = (variables[name] for name in OF_A_STEP)
    names = _parse_node_list(nodes)
    port = random.Random(f"{job}.{variables.get('SLURM_STEP_ID', 0)}").randint(*PORTS)
    values = (number, local, size, variables.get("MASTER_ADDR", names[0]), variables.get("MASTER_PORT", str(port)))
    return dict(zip(VARIABLES, values, strict=True)) | {"LOCAL_WORLD_SIZE": str(-(-int(size) // len(names)))}


def must_start_processes(config: HardwareConfig) -> bool:
    """Whether this run needs processes that nobody has started yet.

    Raises:
        ConfigError: when they would be on several machines, or others were started than the configuration asks for.
    """
    given, number = launcher_variables(os.environ), process_count(config)
    if given is not None:
        if int(given["WORLD_SIZE"]) != number:
            raise ConfigError(
                f"hardware.devices={config.devices}, hardware.nodes={config.nodes}: a run of {number} processes, but "
                f"{given['WORLD_SIZE']} were started. Start as many, or set the two keys."
            )
        return False
    if config.nodes > 1:
        raise ConfigError(
            f"hardware.nodes={config.nodes}: processes on several machines are started by SLURM (hydra/launcher=slurm, "
            f"with nodes={config.nodes} and tasks_per_node={config.devices}) or by torchrun on each of them."
        )
    return number > 1 or config.strategy != "ddp"


# --- meeting ----------------------------------------------------------------------------------------------------------


def join(config: HardwareConfig) -> Group | None:
    """Meet the other processes, once in the life of this one; None for a run of one process.

    Raises:
        ProcessError: names those that have not come within hardware.timeout_s.
    """
    global _group
    given = launcher_variables(os.environ)
    if _group is not None or given is None:
        return _group
    import torch
    import torch.distributed as dist

    os.environ.update(given)
    number, size = int(given["RANK"]), int(given["WORLD_SIZE"])
    address, port = given["MASTER_ADDR"], int(given["MASTER_PORT"])
    limit = timedelta(seconds=config.timeout_s)
    hosts_store = number == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    try:
        store = dist.TCPStore(address, port, is_master=hosts_store, timeout=limit, wait_for_workers=False)
        own = dist.TCPStore(address, port, timeout=limit, wait_for_workers=False)  # waits for nothing that is under way
    except dist.DistError as error:
        raise ProcessError(f"the first process cannot be reached at {address}:{port}: {error}") from error
    group = Group(number, int(given["LOCAL_RANK"]), size, own, _roll_call(own, number, size, config), config.timeout_s)
    on_gpus = config.device == "cuda"
    if on_gpus:
        torch.cuda.set_device(group.local_rank % torch.cuda.device_count())
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpus else "gloo", store=store, rank=number, world_size=size, timeout=limit
    )
    _groups_made_later_wait_as_long(limit)
    if number:
        logging.getLogger("mcqa").setLevel(logging.ERROR)  # what the first one warns of is enough
    _group = group
    atexit.register(_leave)
    return group


def _roll_call(store: Any, number: int, size: int, config: HardwareConfig) -> tuple[str, ...]:
    """The host of every process, once all are there."""
    store.set(f"host/{number}", socket.gethostname())
    until = time.monotonic() + config.timeout_s
    for other in range(size):
        with suppress(RuntimeError):
            store.wait([f"host/{other}"], timedelta(seconds=max(0.1, until - time.monotonic())))
    missing = [other for other in range(size) if not store.check([f"host/{other}"])]
    if missing:
        raise ProcessError(
            f"{_ranks(missing)} of {size} did not come within hardware.timeout_s={config.timeout_s:g} seconds; "
            "the log of that process says why, or its machine cannot reach this one."
        )
    return tuple(store.get(f"host/{other}").decode() for other in range(size))


def _ranks(numbers: list[int]) -> str:
    return f"rank {numbers[0]}" if len(numbers) == 1 else f"ranks {', '.join(map(str, numbers))}"


def _groups_made_later_wait_as_long(limit: timedelta) -> None:
    """DeepSpeed and FSDP make groups of their own, with torch's half hour unless told; it offers no setting."""
    from torch.distributed import distributed_c10d

    distributed_c10d.default_pg_timeout = limit
    distributed_c10d.default_pg_nccl_timeout = limit


def _leave() -> None:
    import torch.distributed as dist

    if _group is not None and not _group.store.check(["failed"]) and dist.is_initialized():
        dist.destroy_process_group()


# --- what the first one tells -----------------------------------------------------------------------------------------


def broadcast(value: int) -> int:
    """Return the value that the first process has. Every process must call it, at the same place."""
    return int(_over_ranks([value], lambda dist, tensor: dist.broadcast(tensor, 0))[0])


def all_reduce_sum(values: list[float]) -> list[float]:
    """Return the sum of each value over all processes. Every process must call it, at the same place."""
    return _over_ranks(values, lambda dist, tensor: dist.all_reduce(tensor))


def any_rank(flags: list[bool]) -> list[bool]:
    """Return for each flag whether any process has it. Every process must call it, at the same place."""
    raised = _over_ranks(flags, lambda dist, tensor: dist.all_reduce(tensor, dist.ReduceOp.MAX))
    return [bool(flag) for flag in raised]


def min_over_ranks(value: int) -> int:
    """Return the smallest value that any process has. Every process must call it, at the same place."""
    return int(_over_ranks([value], lambda dist, tensor: dist.all_reduce(tensor, dist.ReduceOp.MIN))[0])


def _over_ranks(values: Sequence[float], collective: Callable[[Any, Any], Any]) -> list[float]:
    """Apply a collective of torch.distributed, over gloo on the CPU, whatever the process trains on."""
    if not has_others():
        return list(values)
    import torch
    import torch.distributed as dist

    tensor = torch.tensor(values, dtype=torch.float64)  # exact for integers to 2**53
    collective(dist, tensor)
    return [float(value) for value in tensor]


def has_others() -> bool:
    """Whether this process has met others; torch is not imported for it."""
    dist = sys.modules.get("torch.distributed")
    return bool(dist and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


def folder_of_first(config: HardwareConfig, make: Callable[[], Path]) -> Path:
    """The folder that the first process makes or finds; the others go there, and end where it could not."""
    if must_start_processes(config) or (group := join(config)) is None:
        return make()
    if group.rank:
        told = group.store.get("folder").decode()
        return Path(told) if told else sys.exit(1)
    folder = None
    try:
        folder = make()
    finally:
        group.store.set("folder", str(folder or ""))
    return folder
