"""Export the model of a finished run: merged into one model, as an adapter, or as GGUF; and push it to the hub.

    python -m mcqa.export RUN                            a whole model that transformers and vLLM load
    python -m mcqa.export RUN to=adapter                 the adapter with a base that PEFT finds
    python -m mcqa.export RUN to=gguf                    for llama.cpp, by its convert_hf_to_gguf.py
    python -m mcqa.export RUN push=<owner>/<name>        also uploads it, with its model card (needs a token)

RUN is a run folder (outputs/runs/<name>/<id>) or an MLflow run id. The result is <run folder>/export/<to>.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcqa.config import plain_options
from mcqa.config.errors import ConfigError, ModelError, listing
from mcqa.config.plain_command import plain_command
from mcqa.config.plain_options import Option, file_path, help_lines, one_of, some_text, truth
from mcqa.config.secrets import error_reason

if TYPE_CHECKING:
    from mcqa.config.schema import Config

KINDS = ("merged", "adapter", "gguf")
CONVERTER = "convert_hf_to_gguf.py"

OPTIONS = {
    "to": Option("merged", one_of(KINDS), "merged, adapter or gguf"),
    "out": Option("", file_path, "the folder; default <run folder>/export/<to>"),
    "push": Option("", some_text, "also upload it to this repository of the hub, owner/name"),
    "private": Option("true", truth, "of a repository that push makes: only for you"),
    "converter": Option("", file_path, f"for gguf: llama.cpp's {CONVERTER}; default: the one on PATH"),
    "outputs": Option("outputs", file_path, "where an MLflow run id is looked up"),
}


@dataclass(frozen=True)
class Request:
    """What to export, and where to."""

    run: str
    kind: str
    out: Path | None
    push: str | None
    private: bool
    converter: str | None
    outputs: Path


def main(arguments: Sequence[str]) -> None:
    """Export what the command line names."""
    if {"--help", "-h"} & set(arguments):
        return print(f"{(__doc__ or '').strip()}\n\nOptions (key=value):\n{help_lines(OPTIONS)}")
    folder = run(parse(arguments))
    from mcqa.runs.run_folder import shown

    print(f"Exported to {shown(folder)}. Its README.md says how it is loaded.")


def parse(arguments: Sequence[str]) -> Request:
    """Return what a command line asks for.

    Raises:
        ConfigError: with everything that is wrong with it.
    """
    problems: list[str] = []
    named, chosen, _ = plain_options.parse([text.removeprefix("run=") for text in arguments], OPTIONS, problems)
    if len(named) != 1:
        problems.append("name one run: its folder, outputs/runs/<name>/<id>, or its MLflow run id.")
    push, converter = chosen.get("push"), chosen.get("converter")
    if push and (push.count("/") != 1 or not all(push.split("/"))):
        problems.append(f"push={push}: a repository of the hub is owner/name.")
    if converter and not Path(converter).expanduser().is_file():
        problems.append(f"converter={converter}: there is no such file.")
    if chosen.get("to") == "gguf" and not (converter or shutil.which(CONVERTER)):
        problems.append(
            f"to=gguf: llama.cpp's {CONVERTER} is not on PATH; give it by converter=<path> (it is in the repository "
            "ggml-org/llama.cpp, with its own requirements)."
        )
    if problems:
        raise ConfigError(listing(problems))
    out = Path(chosen["out"]).expanduser().absolute() if chosen["out"] else None
    outputs = Path(chosen["outputs"]).expanduser().absolute()
    return Request(named[0], chosen["to"], out, push, chosen["private"], converter, outputs)


def run(request: Request) -> Path:
    """Export, and return the folder.

    Raises:
        McqaError: there is no such run or model, the folder is in use, the converter failed, or the hub refuses.
    """
    from mcqa.models.model_files import holds_adapter
    from mcqa.models.of_run import export_merged, stored_run

    folder, config = stored_run(request.run, request.outputs)
    out = request.out or folder / "export" / request.kind
    if out.is_dir() and any(out.iterdir()) and not (out / "README.md").is_file():
        raise ConfigError(f"{out}: holds something else than an export; name another folder with out=.")
    is_adapter = holds_adapter(folder / "model")
    if request.kind == "adapter":
        if not is_adapter:
            raise ConfigError(
                f"to=adapter: {request.run} trained all weights, so there is no adapter; to=merged has it."
            )
        _export_adapter(folder, config, out, for_hub=request.push is not None)
    else:
        export_merged(folder, config, out)
    if request.kind == "gguf":
        _convert(out, request.converter or str(shutil.which(CONVERTER)))
    if request.push:
        push(out, request.push, request.private)
    return out


def _export_adapter(folder: Path, config: "Config", out: Path, for_hub: bool) -> None:
    """Copy the adapter; a base that only this package can find, the embedded one or a stage's, goes beside it."""
    from mcqa.models.model_files import ADAPTER_CONFIG, BESIDE, EMBEDDED, base_of_adapter, location, read_object
    from mcqa.models.of_run import write_card

    settings = read_object(folder / "model" / ADAPTER_CONFIG)
    base = str(base_of_adapter(folder / "model"))
    is_stage = str(settings.get("base_model_name_or_path")).startswith(BESIDE)
    is_local = base.startswith(EMBEDDED) or Path(base).expanduser().is_dir()
    if for_hub and is_local:
        raise ConfigError(
            f"push: the base of this adapter, {base}, is not on the hub; push the whole model by to=merged."
        )
    shutil.copytree(folder / "model", out, dirs_exist_ok=True)
    if base.startswith(EMBEDDED) or is_stage:
        shutil.copytree(location(base), out / "base", dirs_exist_ok=True)
        settings["base_model_name_or_path"] = str(out / "base")
        (out / ADAPTER_CONFIG).write_text(json.dumps(settings, indent=2))
    write_card(folder, config, out, "peft")


def _convert(out: Path, converter: str) -> None:
    """Write model.gguf from the merged model in `out`, whose weights are then removed."""
    command = [sys.executable] if converter.endswith(".py") else []
    done = subprocess.run(
        [*command, converter, str(out), "--outfile", str(out / "model.gguf")], capture_output=True, text=True
    )
    if done.returncode or not (out / "model.gguf").is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise ModelError(f"{converter} ended with status {done.returncode}: {last}")
    for weights in out.glob("*.safetensors*"):
        weights.unlink()


# --- the hub ---------------------------------------------------------------------------------------------------------


def push(folder: Path, repository: str, private: bool) -> None:
    """Upload a folder to a repository of the hub, which is made where it does not exist.

    Raises:
        ModelError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    hub = HfApi()
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        _name_the_repository(folder, repository)
        result: Any = hub.upload_folder(repo_id=repository, folder_path=str(folder), commit_message="Upload the model")
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        advice = {
            401: " Is the token valid? `hf auth login` stores one; HF_TOKEN in the environment comes first.",
            403: f" The token may not write to {repository}: it needs the role write, for this owner.",
        }.get(status or (401 if isinstance(error, LocalTokenNotFoundError) else 0), "")
        raise ModelError(f"push={repository}: {error_reason(error)}.{advice} The export is in {folder}.") from error
    print(f"Pushed: {getattr(result, 'repo_url', None) or f'{hub.endpoint}/{repository}'}")


def _name_the_repository(folder: Path, repository: str) -> None:
    """Let the card load the model from the hub and not from a folder of this machine."""
    card = folder / "README.md"
    card.write_text(card.read_text("utf-8").replace(json.dumps(str(folder)), json.dumps(repository)), "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    plain_command(main)
