"""Use of the machine: CPU, memory and the GPUs that this run sees.

Names are those of MLflow's own monitors and include the unit (`system/gpu_0_memory_usage_megabytes`), so MLflow shows
them on its page System metrics. Its monitors would import all of MLflow, even in a trial that leaves MLflow to the
controller. gpu_0 is the first visible GPU, as in torch.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil

MEGABYTE = 1e6


class SystemMetrics:
    def __init__(self) -> None:
        self._gpus = _visible_gpus()
        self.sample()  # CPU use is measured from one sample to the next; the first is always 0

    def sample(self) -> dict[str, float]:
        memory = psutil.virtual_memory()
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
        }
        for number, gpu in enumerate(self._gpus):
            values |= {f"gpu_{number}_{name}": value for name, value in _use(gpu)}
        return {f"system/{name}": round(value, 1) for name, value in values.items()}


def _visible_gpus() -> list[Any]:
    """Return NVML's handles; none where it or a GPU is missing."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        import pynvml

        pynvml.nvmlInit()
        if not visible:
            return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return [
            pynvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(gpu)
            for gpu in visible.split(",")
        ]
    except Exception:
        return []


def _use(gpu: Any) -> Iterator[tuple[str, float]]:
    """Yield what the GPU measures; a MIG slice, for example, does not measure its utilization."""
    import pynvml

    with suppress(pynvml.NVMLError):
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
        yield "memory_usage_megabytes", memory.used / MEGABYTE
        yield "memory_usage_percentage", 100 * memory.used / memory.total
    with suppress(pynvml.NVMLError):
        yield "utilization_percentage", float(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
    with suppress(pynvml.NVMLError):
        watts = pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000
        yield "power_usage_watts", watts
        yield "power_usage_percentage", 100_000 * watts / pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu)
