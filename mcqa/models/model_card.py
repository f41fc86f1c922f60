"""How a saved model is used, as its card says it."""

import json
from dataclasses import replace

from mcqa.config.errors import DataError
from mcqa.config.schema import Config
from mcqa.data.prompts import requests
from mcqa.data.question import Question

EXAMPLE = Question("example", "What is the capital of Peru?", ("Lima", "Quito", "Bogota"), 0)
HEADING = "## Use"


def with_usage(card: str, library: str, place: str, config: Config) -> str:
    """Return a model card with a section on how the model is loaded, before its configuration.

    library: transformers, or peft for an adapter. place: a folder or the name of a repository.
    """
    return _with_use(card, f"```python\n{usage(library, place, config)}\n```")


def with_export(card: str, command: str) -> str:
    """Return a model card that names the command which makes a model of an adapter that only this project can load."""
    return _with_use(card, f"`{command}` makes a whole model of the adapter, with the code that loads it.")


def _with_use(card: str, text: str) -> str:
    before, heading, configuration = card.partition("\n## Configuration\n")
    before = before.partition(f"\n{HEADING}\n")[0].rstrip()
    return f"{before}\n\n{HEADING}\n\n{text}\n{heading}{configuration}"


def usage(library: str, place: str, config: Config) -> str:
    """Return Python code that loads the model and lets it answer a question in the prompt that it was trained with."""
    loader, package = ("AutoModelForCausalLM", "transformers")
    more, imports = "", ""
    if library == "peft":
        loader, package = ("AutoPeftModelForCausalLM", "peft")
        if config.peft.quantization is not None:
            imports = ", BitsAndBytesConfig"
            more = f", quantization_config={_quantization(config)}"
    return f"""\
import torch
from {package} import {loader}
from transformers import AutoTokenizer{imports}

place = {json.dumps(place)}
tokenizer = AutoTokenizer.from_pretrained(place)
model = {loader}.from_pretrained(place{more})
{_prompt(config)}
inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
with torch.inference_mode():
    answer = model.generate(**inputs, max_new_tokens=20, do_sample=False)
print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))"""


def _quantization(config: Config) -> str:
    """Return the 4-bit weights that the adapter was trained on, which give the scores of the run."""
    double = config.peft.double_quantization
    dtype = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}[config.hardware.precision]
    return f"""BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="{config.peft.quantization}", bnb_4bit_use_double_quant={double},
    bnb_4bit_compute_dtype=torch.{dtype},
)"""


def _prompt(config: Config) -> str:
    """Return the lines that make the prompt; a chat template is applied by the tokenizer."""
    plain = replace(config.prompt_of("test"), chat_template=False, shots=0)
    example = replace(EXAMPLE, question="The capital of Peru is _.") if plain.style == "blank" else EXAMPLE
    try:
        text = json.dumps(requests(None, plain, example, None)[0][0], ensure_ascii=False)
    except DataError:  # a template of the user's that asks for more than this question has
        text = json.dumps(example.question)
    if not config.prompt_of("test").chat_template:
        return f"prompt = {text}"
    return f"""\
turns = [{{"role": "user", "content": {text}}}]
prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)"""
