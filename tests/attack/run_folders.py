"""Damaged run folders, and what the command that reads one must do: any number of cases that a seed determines.

`cases` needs no run. The damage of a case changes a copy of a run folder with an adapter, as `+experiment=smoke`,
`lora_mcqa` and `qlora_mcqa` leave it: one that is complete, or for `resume` one that was interrupted (`interrupt` makes
a complete one so). Afterwards the command must end with status 1 and a message, or do what it does without the damage:

    resume     python -m mcqa.train resume=<copy>
    evaluate   python -m mcqa.evaluate run=<copy>
    compare    python -m mcqa.compare <copy>
    from_run   python -m mcqa.train from_run=<copy> dry_run=true
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any, Literal

import yaml

Command = Literal["resume", "evaluate", "compare", "from_run"]
COMMANDS: tuple[Command, ...] = ("resume", "evaluate", "compare", "from_run")


@dataclass(frozen=True)
class Case:
    """A damage and what must happen then.

    damage: changes the copy of a run folder. error: a piece of the message that must follow; None where the command
    must do as before.
    """

    name: str
    command: Command
    damage: Callable[[Path], None]
    error: str | None


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield as many cases; the same seed gives the same ones."""
    random = Random(seed)
    kinds = (_file_case, _config_case, _predictions_case, _model_case, _result_case)
    for number in range(count):
        yield kinds[number % len(kinds)](random)


def interrupt(folder: Path) -> None:
    """Make a complete run one that was stopped after its training and before its result."""
    (folder / "result.json").write_text(json.dumps({"status": "preempted", "error": "Stopped by SIGTERM."}))
    rmtree(folder / "model")
    for split in ("dev", "test"):
        (folder / "predictions" / f"{split}.jsonl").unlink()


# --- whole files -----------------------------------------------------------------------------------------------------

BASE = ("predictions/base_dev.jsonl", "predictions/base_test.jsonl")
MODEL = ("model/adapter_config.json", "model/adapter_model.safetensors", "model/tokenizer.json")
SIDE = ("overrides.yaml", "events.jsonl", "tracking.json")

NEEDED: dict[Command, tuple[str, ...]] = {
    "resume": ("config.yaml",),
    "evaluate": ("config.yaml", *MODEL),
    "compare": ("config.yaml", "result.json", "predictions/test.jsonl", BASE[1]),
    "from_run": ("config.yaml",),
}
"""Files without which the command cannot do anything; its message names them."""

OPTIONAL: dict[Command, tuple[str, ...]] = {
    "resume": ("environment.json", "result.json", "overrides.yaml", *BASE),
    "evaluate": ("environment.json", "result.json", "predictions/test.jsonl", *SIDE),
    "compare": ("environment.json", "predictions/dev.jsonl", BASE[0], *SIDE),
    "from_run": ("environment.json", "result.json", "model/adapter_config.json", *SIDE, *BASE),
}
"""Files whose damage changes nothing of what the command does."""

REPLACED = ("environment.json", "result.json", *BASE)
"""Files that a resumed run writes again, which it cannot where a folder has their name."""


def _missing(path: Path, random: Random) -> None:
    path.unlink(missing_ok=True)


def _empty(path: Path, random: Random) -> None:
    path.write_bytes(b"")


def _cut(path: Path, random: Random) -> None:
    """As after a loss of power."""
    content = path.read_bytes() if path.exists() else b""
    length = random.randrange(len(content) // 4, len(content) * 3 // 4 or 1)
    path.write_bytes(content[:length].rstrip(b"\n"))


def _garbage(path: Path, random: Random) -> None:
    path.write_bytes(b"\xff\xfe\x00" + random.randbytes(random.randrange(100)))


def _other_value(path: Path, random: Random) -> None:
    path.write_text(random.choice(["[1, 2]", "null", "7", '"a text"', "true", "[]"]))


def _nested(path: Path, random: Random) -> None:
    path.write_text("[" * random.choice([200, 2_000, 100_000]))


def _folder(path: Path, random: Random) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


BREAKS = (_missing, _empty, _cut, _garbage, _other_value, _nested, _folder)


def _file_case(random: Random) -> Case:
    command = random.choice(COMMANDS)
    needed = random.random() < 0.5
    file = random.choice((NEEDED if needed else OPTIONAL)[command])
    broken, seed = random.choice(BREAKS), random.random()
    if command == "compare" and file == "config.yaml" and broken is _cut:
        broken = _empty  # a configuration with fewer keys may be that of an earlier version
    if command == "resume" and file in REPLACED and broken is _folder:
        needed = True
    names = file if broken is not _missing or not file.startswith("predictions") else "predictions"
    return Case(
        f"{command}: {file} {broken.__name__[1:]}",
        command,
        lambda folder: broken(folder / file, Random(seed)),
        names if needed else None,
    )


# --- values of the configuration -------------------------------------------------------------------------------------

CONFIG_VALUES: tuple[tuple[str, Any], ...] = (
    ("hardware", 5),
    ("hardware", None),
    ("optimizer", [1, 2]),
    ("optimizer.batch_size", "many"),
    ("optimizer.learning_rate", {"a": [1]}),
    ("model.path", 7),
    ("data", "facts"),
    ("data.columns", 3),
    ("evaluation.sets", 5),
    ("evaluation.every", [1]),
    ("prompt", {}),
    ("prompt.style", None),
    ("peft", [None]),
    ("seed", "one"),
    ("seed", [1]),
    ("name", {1: 2}),
    ("objective.trainer_args", "x"),
    ("unheard", 1),
    ("optimizer.unheard", {"a": 1}),
)
"""Keys and values that no run can have."""


def _config_case(random: Random) -> Case:
    command, (key, value) = random.choice(COMMANDS), random.choice(CONFIG_VALUES)

    def damage(folder: Path) -> None:
        path = folder / "config.yaml"
        config = section = yaml.safe_load(path.read_text("utf-8"))
        *groups, last = key.split(".")
        for group in groups:
            section = section[group]
        section[last] = value
        path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")

    replaced = command == "evaluate" and key == "name"  # an evaluation has its own
    return Case(f"{command}: {key}={value}", command, damage, None if command == "compare" or replaced else key)


# --- lines of predictions --------------------------------------------------------------------------------------------

LINES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda row: [row],
    "a number": lambda row: 5,
    "without scores": lambda row: {key: value for key, value in row.items() if key != "scores"},
    "without id": lambda row: {key: value for key, value in row.items() if key != "id"},
    "of other choices": lambda row: row | {"choices": row["choices"][:1]},
    "with one score": lambda row: row | {"scores": row["scores"][:1]},
    "with a score of text": lambda row: row | {"scores": ["-1", *row["scores"][1:]]},
    "with NaN": lambda row: row | {"scores": [float("nan"), *row["scores"][1:]]},
    "with infinity": lambda row: row | {"scores": [float("inf"), *row["scores"][1:]]},
    "with a list of NaN": lambda row: row | {"scores": [[None], *row["scores"][1:]]},
    "with a huge score": lambda row: row | {"scores": [10**400, *row["scores"][1:]]},
    "with another answer": lambda row: row | {"answer": len(row["choices"])},
    "with an answer of text": lambda row: row | {"answer": "A"},
    "with an id of 7": lambda row: row | {"id": 7},
    "without lengths": lambda row: row | {"lengths": {}},
    "of null": lambda row: dict.fromkeys(row),
}
"""Changes of one line that leave no possible prediction."""

WHOLE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "without the last line": lambda lines: lines[:-1],
    "with a line twice": lambda lines: [*lines, lines[0]],
    "with a blank line": lambda lines: [lines[0], b"", *lines[1:]],
    "with a line cut": lambda lines: [*lines[:-1], lines[-1][:20]],
    "with a line of garbage": lambda lines: [*lines[:-1], b"\xff\xfe"],
}


def _predictions_case(random: Random) -> Case:
    command, seed = random.choice(COMMANDS[:3]), random.random()
    file = random.choice(BASE if command == "resume" else ("predictions/test.jsonl", BASE[1]))
    name = random.choice([*LINES, *WHOLE])

    def damage(folder: Path) -> None:
        lines = (folder / file).read_bytes().splitlines()
        if name in WHOLE:
            lines = WHOLE[name](lines)
        else:
            at = Random(seed).randrange(len(lines))
            lines[at] = json.dumps(LINES[name](json.loads(lines[at]))).encode()
        (folder / file).write_bytes(b"".join(line + b"\n" for line in lines))

    piece = "answered other questions" if name == "without the last line" else file
    return Case(f"{command}: {file} {name}", command, damage, piece if command == "compare" else None)


# --- values of the saved model ---------------------------------------------------------------------------------------

ADAPTER, TOKENIZER = "adapter_config.json", "tokenizer_config.json"
MODEL_VALUES: tuple[tuple[str, str, Any], ...] = (
    (ADAPTER, "r", "x"),
    (ADAPTER, "r", 3),
    (ADAPTER, "base_model_name_or_path", None),
    (ADAPTER, "base_model_name_or_path", "no/such/base"),
    (ADAPTER, "target_modules", ["unheard"]),
    (ADAPTER, "target_modules", ["q_proj"]),
    (ADAPTER, "target_modules", 5),
    (ADAPTER, "peft_type", "UNHEARD"),
    (ADAPTER, "lora_alpha", None),
    (ADAPTER, "lora_dropout", "x"),
    (TOKENIZER, "tokenizer_class", 5),
    (TOKENIZER, "eos_token", 5),
    (TOKENIZER, "model_max_length", "x"),
    (TOKENIZER, "added_tokens_decoder", {"x": 5}),
    ("tokenizer.json", "model", 5),
    ("tokenizer.json", "pre_tokenizer", {"type": "Unheard"}),
    ("tokenizer.json", "added_tokens", 5),
)
"""Values with which no library loads what the run saved."""


def _model_case(random: Random) -> Case:
    if random.random() < 0.2:
        kind = random.choice(["not numbers", "of other names", "of other shapes"])
        return Case(f"evaluate: weights {kind}", "evaluate", lambda folder: _change_weights(folder, kind), "model")
    file, key, value = random.choice(MODEL_VALUES)

    def damage(folder: Path) -> None:
        path = folder / "model" / file
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), "utf-8")

    return Case(f"evaluate: {file} {key}={value}", "evaluate", damage, "model")


def _change_weights(folder: Path, kind: str) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / MODEL[1]
    weights = load_file(path)
    if kind == "not numbers":
        weights = {name: weight * float("nan") for name, weight in weights.items()}
    elif kind == "of other names":
        weights = {name.replace("layers.1.", "layers.99."): weight for name, weight in weights.items()}
    else:
        weights = {name: weight[:1].copy() for name, weight in weights.items()}
    save_file(weights, path, {"format": "pt"})


# --- values of the result --------------------------------------------------------------------------------------------

STATUSES: tuple[Any, ...] = (5, None, [], {}, ["complete"], {"complete": 1}, True, "Complete", "")
RESULT_VALUES: tuple[tuple[str, Any], ...] = (
    ("seconds", "x"),
    ("seconds", [1]),
    ("seconds", float("nan")),
    ("metrics", 5),
    ("metrics", {"dev/acc": "x"}),
    ("value", {}),
    ("peak_memory_bytes", "x"),
    ("error", [1]),
)


def _result_case(random: Random) -> Case:
    command = random.choice(COMMANDS)
    key, value = random.choice([("status", status) for status in STATUSES] + list(RESULT_VALUES))

    def damage(folder: Path) -> None:
        path = folder / "result.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), "utf-8")

    return Case(
        f"{command}: result.json {key}={value}",
        command,
        damage,
        "result.json" if command == "compare" and key == "status" else None,
    )
