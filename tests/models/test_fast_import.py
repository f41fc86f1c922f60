"""What is changed for the time of the imports is as before afterwards."""

import gc

import pytest
import torch

from mcqa.models.fast_import import fast_imports


@pytest.mark.parametrize("compiled", [True, False])
def test_the_collector_and_torch_compile_are_restored(compiled):
    original = torch.compile
    with pytest.raises(ImportError), fast_imports(compiled):
        assert not gc.isenabled()
        assert (torch.compile is original) == compiled
        raise ImportError
    assert gc.isenabled() and torch.compile is original


def test_functions_are_left_uncompiled_with_and_without_arguments_of_the_decorator():
    def function():
        return 1

    with fast_imports(compiled=False):
        assert torch.compile(function) is function
        assert torch.compile(dynamic=True)(function) is function
