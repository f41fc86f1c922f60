"""System metrics: those of the visible GPUs, under MLflow's names."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def three_gpus(monkeypatch):
    """GPUs of 8 GB with a quarter in use, which do not measure how busy they are."""
    import pynvml

    def unmeasured(_):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    memory = SimpleNamespace(used=2e9, total=8e9)
    for name, found in {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 3,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": lambda name: name,
        "nvmlDeviceGetMemoryInfo": lambda gpu: memory,
        "nvmlDeviceGetUtilizationRates": unmeasured,
        "nvmlDeviceGetPowerUsage": lambda gpu: 100_000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda gpu: 400_000,
    }.items():
        monkeypatch.setattr(pynvml, name, found)


@pytest.mark.parametrize(("visible", "handles"), [("3,GPU-5", [3, "GPU-5"]), ("1", [1]), ("", [0, 1, 2])])
def test_only_visible_gpus_are_measured(monkeypatch, three_gpus, visible, handles):
    from mcqa.runs.tracking import system

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert system._visible_gpus() == handles


@pytest.mark.slow  # MLflow's import starts a process
def test_system_metrics_have_mlflows_names_and_values(monkeypatch, three_gpus):
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

    from mcqa.runs.tracking.system import SystemMetrics

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    theirs = {}
    for monitor in (CPUMonitor(), GPUMonitor()):
        monitor.collect_metrics()
        theirs |= {f"system/{name}": value for name, value in monitor.aggregate_metrics().items()}
    ours = SystemMetrics().sample()
    assert set(ours) == set(theirs)
    assert {n: v for n, v in ours.items() if "gpu" in n} == {n: v for n, v in theirs.items() if "gpu" in n}
