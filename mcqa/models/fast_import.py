"""The heavy imports of a run, in two thirds of the time: for a small model they take longer than its training."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def fast_imports(compiled: bool) -> Iterator[None]:
    """Without the garbage collector, which would look through everything imported so far again and again.

    compiled: whether bitsandbytes may wrap its fallback kernels in torch.compile, which imports the whole compiler for
        them. They stay right without it, and are slower where quantised numbers live on a CPU.
    """
    gc.disable()
    import torch

    compile_, torch.compile = torch.compile, torch.compile if compiled else _as_it_is
    try:
        yield
    finally:
        torch.compile = compile_
        gc.enable()
        gc.freeze()


def _as_it_is(function: Any = None, **_: Any) -> Any:
    return function if function is not None else _as_it_is
