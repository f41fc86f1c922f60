"""New models with random weights and new tokenizers, for objective=pretrain."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from mcqa.config.errors import ModelError
from mcqa.config.schema import HardwareConfig
from mcqa.data import hub
from mcqa.models import devices, sharding

END_OF_TEXT = "<|endoftext|>"
EMBEDDING_STD = 0.1


def new_model(architecture: dict[str, Any], tokenizer: Any, hardware: HardwareConfig) -> Any:
    """Return a model with random weights; architecture has keys of the transformers configuration of its model_type.

    Weights are initialised as in transformers with two changes, without which the facts of data=facts are learned half
    as well in the same time: a larger standard deviation of the embeddings, and residual projections scaled by
    1/sqrt(2 * layers) (Radford et al. 2019, section 2.3).

    Raises:
        ModelError: transformers cannot build this architecture.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    tokens = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    ids = {f"{name}_token_id": token for name, token in tokens.items()}
    try:
        shape = AutoConfig.for_model(**architecture, vocab_size=len(tokenizer), **ids)
        with sharding.unsharded():
            model = AutoModelForCausalLM.from_config(shape, attn_implementation=devices.attention(hardware))
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"model.architecture cannot be built: {hub.first_line(error)}") from error
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_(std=EMBEDDING_STD)
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight /= math.sqrt(2 * shape.num_hidden_layers)
    return model if sharding.shards_weights(hardware) else model.to(devices.device(hardware))


def new_tokenizer(vocabulary_size: int, texts: Sequence[str]) -> Any:
    """Return a byte-level BPE tokenizer trained on the texts; it can encode any text, whatever the script."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocabulary_size, min_frequency=0, special_tokens=[END_OF_TEXT], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT)
