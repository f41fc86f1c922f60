"""What an adapter changes of a model: the layers that peft names, and whether a saved adapter agrees with peft.

Everything here is read from the architecture, before any weight is, so that a wrong name costs a second.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mcqa.config.errors import ModelError, nearest
from mcqa.config.schema import ModelConfig, PeftConfig
from mcqa.models import loading
from mcqa.models.model_files import ADAPTER_CONFIG, base_of_adapter, read_object

Modules = Mapping[str, Any]
"""The modules of a model by their full names."""

SAVED_AS = {"rank": "r", "alpha": "lora_alpha", "dora": "use_dora", "rslora": "use_rslora"}
"""Keys of peft that a saved adapter has fixed, with their names in PEFT's configuration."""


def check(config: ModelConfig, peft: PeftConfig) -> None:
    """Check that the model has the modules that peft names, and that the adapter of peft.path can go on as peft says.

    Raises:
        ModelError: a name belongs to no module that can be adapted or trained; the adapter is not one of this model, or
            was trained with other values.
    """
    if peft.path is not None:
        loading.check_adapter_files(peft.path)
    if peft.trainable == "full" or (peft.target_modules == "all-linear" and not (peft.modules_to_save or peft.path)):
        return
    model = loading.meta_model(config)
    modules = {name: module for name, module in model.named_modules() if name}
    _check_targets(modules, peft.target_modules)
    _check_saved_modules(modules, peft, model.get_output_embeddings())
    if peft.path is not None:
        _check_agreement(config, peft, modules, model.get_output_embeddings())


def targeted(modules: Modules, head: Any, targets: str | Sequence[str] | None, saved: Iterable[str] = ()) -> set[str]:
    """Return the names of the modules that get an adapter, matched as PEFT does, whose import takes seconds.

    head: the output layer, which all-linear leaves out. saved: modules that are trained whole get none.
    """
    whole = saved_whole(modules, saved)
    if targets == "all-linear":
        chosen = {name for name, module in modules.items() if _is_linear(module) and module is not head}
    elif isinstance(targets, str):
        chosen = {name for name in modules if re.fullmatch(targets, name)}
    else:
        chosen = {name for name in modules if any(f".{name}".endswith(f".{target}") for target in targets or ())}
    return chosen - whole


def saved_whole(modules: Modules, saved: Iterable[str]) -> set[str]:
    """Return the names of the modules that peft.modules_to_save names: all that end so, as PEFT has it."""
    return {name for name in modules if name.endswith(tuple(saved))}


def _check_targets(modules: Modules, targets: str | Sequence[str] | None) -> None:
    if targets == "all-linear":
        return
    adaptable = _last_parts(name for name, module in modules.items() if _is_linear(module))
    for target in [targets] if isinstance(targets, str) else targets or ():
        try:
            found = targeted(modules, None, target if isinstance(targets, str) else [target])
        except re.error as error:
            raise ModelError(f"peft.target_modules={target}: is no regular expression: {error}.") from error
        if not found:
            raise ModelError(
                f"peft.target_modules: the model has no module {target!r}; its linear layers are "
                f"{', '.join(adaptable)}.{nearest(target, [*adaptable, 'all-linear'])}"
            )
        if other := sorted(name for name in found if not (_is_linear(modules[name]) or _is_table(modules[name]))):
            raise ModelError(
                f"peft.target_modules: {target!r} names {other[0]}, which is no layer of one matrix; the linear layers "
                f"are {', '.join(adaptable)}."
            )


def _check_saved_modules(modules: Modules, peft: PeftConfig, head: Any) -> None:
    own = _last_parts(
        name for name, module in modules.items() if next(module.parameters(recurse=False), None) is not None
    )
    for name in peft.modules_to_save or ():
        found = saved_whole(modules, [name])
        if not found:
            raise ModelError(
                f"peft.modules_to_save: the model has no module {name!r}; those with weights are {', '.join(own)}."
                f"{nearest(name, own)}"
            )
        packed = [each for each in found if any(_is_linear(one) and one is not head for one in modules[each].modules())]
        if peft.quantization is not None and packed:
            raise ModelError(
                f"peft.modules_to_save: {min(packed)} has 4-bit weights under peft={peft.name}, which cannot be "
                "trained; leave it out, or take peft=lora."
            )


def _check_agreement(config: ModelConfig, peft: PeftConfig, modules: Modules, head: Any) -> None:
    """
    Raises:
        ModelError: the adapter of peft.path has another base or other values; names the keys that would agree.
    """
    folder = Path(peft.path or "").expanduser()
    saved = read_object(folder / ADAPTER_CONFIG)
    if (base := base_of_adapter(folder)) != config.path:
        raise ModelError(
            f"peft.path={peft.path}: the adapter was trained on the base {base} and not on model.path={config.path}; "
            f"choose that model. If it only lies elsewhere now, say so in {folder / ADAPTER_CONFIG}."
        )
    needed = {key: saved.get(name) for key, name in SAVED_AS.items() if saved.get(name) != getattr(peft, key)}
    whole = saved.get("modules_to_save") or []
    if _weights(modules, whole) != _weights(modules, peft.modules_to_save or []):
        shortest = [name for name in whole if not any(name.endswith(f".{other}") for other in whole)]
        needed["modules_to_save"] = f"[{','.join(shortest)}]" if whole else "null"
    layers, wanted = saved.get("target_modules") or [], peft.target_modules
    if targeted(modules, head, layers, whole) != targeted(modules, head, wanted, peft.modules_to_save or []):
        needed["target_modules"] = layers if isinstance(layers, str) else f"[{','.join(sorted(layers))}]"
    if needed:
        values = " ".join(
            f"peft.{key}={str(value).lower() if value is False or value is True else value}"
            for key, value in needed.items()
        )
        raise ModelError(f"peft.path={peft.path}: the adapter was trained with other values; go on with {values}")


def _weights(modules: Modules, saved: Iterable[str]) -> set[int]:
    """Return which weights are trained whole; embeddings and head may be one of two names."""
    return {id(weight) for name in saved_whole(modules, saved) for weight in modules[name].parameters()}


def _last_parts(names: Iterable[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})


def _is_linear(module: Any) -> bool:
    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"  # of GPT-2: a transposed Linear


def _is_table(module: Any) -> bool:
    return isinstance(module, torch.nn.Embedding)
