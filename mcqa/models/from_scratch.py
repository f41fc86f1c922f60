"""Models and tokenizers that start from random weights, for objective=pretrain."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from mcqa.config.errors import ModelError
from mcqa.config.schema import HardwareConfig
from mcqa.models import devices, sharding

END_OF_TEXT = "<|endoftext|>"


EMBEDDING_STD = 0.1


def new_model(architecture: dict[str, Any], tokenizer: Any, machine: HardwareConfig) -> Any:
    """Random weights of this shape, for the tokens of the tokenizer.

    Drawn as transformers does, with two changes without which the facts of data=facts are learned half as well in
    the same time: wider embeddings, and what each layer adds to the residual stream scaled down by their number
    (Radford et al. 2019).
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    tokens = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "pad": tokenizer.pad_token_id}
    ids = {f"{name}_token_id": token for name, token in tokens.items()}
    try:
        shape = AutoConfig.for_model(**architecture, vocab_size=len(tokenizer), **ids)
        with sharding.unsharded():
            model = AutoModelForCausalLM.from_config(shape, attn_implementation=devices.attention(machine))
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"model.architecture cannot be built: {first_line(error)}") from error
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_(std=EMBEDDING_STD)
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight /= math.sqrt(2 * shape.num_hidden_layers)
    return model if sharding.shards_weights(machine) else model.to(devices.device(machine))


def new_tokenizer(vocabulary_size: int, texts: Sequence[str]) -> Any:
    """Byte-level pairs learned from the texts: every text can be written in it, whatever the script."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT)


def first_line(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
