"""Import the heavy libraries in two thirds of the time; for a small model that takes longer than its training."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def fast_imports(compiled: bool) -> Iterator[None]:
    """Disable the garbage collector during imports; it would scan everything imported so far again and again.

    compiled: whether bitsandbytes may wrap its fallback kernels in torch.compile, which imports the whole compiler.
        Without it results are the same, and 4-bit weights and 8-bit optimizers on a CPU are slower.
    """
    gc.disable()
    import torch

    original, torch.compile = torch.compile, torch.compile if compiled else _uncompiled
    try:
        yield
    finally:
        torch.compile = original
        gc.enable()
        gc.freeze()  # what was imported stays until the process ends, so it is never scanned


def _uncompiled(function: Any = None, **_: Any) -> Any:
    """Stands in for torch.compile, as a decorator with and without arguments."""
    return function if function is not None else _uncompiled
