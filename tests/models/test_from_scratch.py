"""New models with random weights."""

from dataclasses import replace

import pytest
import torch

from mcqa.config.errors import ModelError
from mcqa.models import loading
from tests.small_runs import configured


def test_an_architecture_that_transformers_does_not_know_is_an_error_for_the_user():
    config, _ = configured(["+experiment=pretrain_starter"])
    tokenizer = loading.load_tokenizer(config.model, ["some text"])
    odd = replace(config.model, architecture={"model_type": "no_such_model"})
    with pytest.raises(ModelError, match="model.architecture cannot be built"):
        loading.load_model(odd, config.peft, config.hardware, tokenizer, 0)


def test_random_weights_follow_the_seed():
    config, _ = configured(["+experiment=pretrain_starter"])
    tokenizer = loading.load_tokenizer(config.model, ["some text"])
    first, same, other = (
        loading.load_model(config.model, config.peft, config.hardware, tokenizer, seed).get_input_embeddings().weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
