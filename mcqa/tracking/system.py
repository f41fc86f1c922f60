"""How busy the machine is: CPU, memory and the GPUs of this run, by MLflow's own collectors.

Names are MLflow's and carry their unit (`system/gpu_0_memory_usage_megabytes`), so its System metrics page
shows them. gpu_0 is the first visible GPU, as in torch.
"""

import logging
import os
import threading
from typing import Any

log = logging.getLogger(__name__)


class SystemMetrics:
    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

        self._lock = threading.Lock()
        self._monitors: list[Any] = [CPUMonitor()]
        try:
            self._monitors.append(_visible_gpus())
        except Exception as error:
            log.debug("no GPU metrics: %s", error)
        self.sample()  # CPU use is measured from one sample to the next; the first is always 0

    def sample(self) -> dict[str, float]:
        values: dict[str, float] = {}
        with self._lock:
            for monitor in self._monitors:
                monitor.collect_metrics()
                values |= {f"system/{name}": float(use) for name, use in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
        return values


def _visible_gpus() -> Any:
    """Raises: ImportError or RuntimeError without NVML or a GPU, NVMLError for one that it does not know."""
    import pynvml
    from mlflow.system_metrics.metrics import gpu_monitor

    monitor = gpu_monitor.GPUMonitor()
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        monitor.gpu_handles = [
            pynvml.nvmlDeviceGetHandleByIndex(int(gpu)) if gpu.isdigit() else pynvml.nvmlDeviceGetHandleByUUID(gpu)
            for gpu in visible.split(",")
        ]
    # Says at every sample what a GPU does not measure, such as the use of a MIG slice.
    logging.getLogger(gpu_monitor.__name__).setLevel(logging.ERROR)
    return monitor
