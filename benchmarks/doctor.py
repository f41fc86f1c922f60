"""Ill and healthy runs of the embedded model, and what mcqa doctor, runmedic and ftdoctor say about each.

    python benchmarks/doctor.py train OUTPUTS                  about a minute for each run; finished ones are kept
    python benchmarks/doctor.py judge OUTPUTS [--others BIN]   BIN: the folder with the commands runmedic and ftdoctor

A run is ill in one known way, or healthy. All three read the same: loss, gradient norm and learning rate of every
update, and the loss and accuracy of dev. An alarm asks for something to be done: of the doctor a problem or a hint but
for `few updates` of a healthy run, of the others a warning or worse. An illness is recognised where an alarm has one
of the names that Case lists: any that speaks of that illness, generously read for the others.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.evaluation.doctor import updates
from mcqa.evaluation.doctor.rules import diagnose
from mcqa.evaluation.doctor.stored import history_of
from mcqa.runs.files import write_yaml

HALF = ("optimizer.batch_size=16", "objective.max_steps=116")
"""As many updates as the project's own experiments make, each of half as many questions."""

LORA = ("+experiment=lora_mcqa", *HALF)
FULL = ("+experiment=full_mcqa", *HALF)
SPIKE_AT = 80

TOO_HIGH = "divergence not_learning no_learning loss_spikes grad_spikes gradients non_finite loss_degenerate"
OVERFITTING = "overfitting val_below_train metric_disagreement stopped_improving"


@dataclass(frozen=True)
class Case:
    """A run. ours, others: names of findings that recognise its illness, none where it is healthy.

    answers: what is done to the answer key of train: shuffled, or never right.
    """

    overrides: Sequence[str]
    ours: Sequence[str] = ()
    others: str = ""
    answers: str | None = None
    spike: bool = False

    @property
    def is_ill(self) -> bool:
        return bool(self.ours)


CASES = {
    "learning rate x 100": Case(
        (*LORA, "optimizer.learning_rate=0.2"), ("learning rate too high", "divergence"), TOO_HIGH
    ),
    "learning rate x 0.01": Case(
        (*LORA, "optimizer.learning_rate=2e-5"),
        ("learning rate too low", "nothing learned"),
        "not_learning no_learning",
    ),
    "all weights, learning rate x 100": Case(
        (*FULL, "optimizer.learning_rate=0.03"), ("learning rate too high", "divergence"), TOO_HIGH
    ),
    "64 questions, 58 epochs": Case(
        (
            "+experiment=full_mcqa",
            "data.limit=64",
            "optimizer.batch_size=16",
            "objective.epochs=58",
            "optimizer.learning_rate=1e-3",
            "scheduler=constant",
            "evaluation.every=16",
        ),
        ("overfitting",),
        OVERFITTING,
    ),
    "answers of train wrong": Case(
        LORA, ("accuracy of guessing", "worse than the base", "overfitting"), f"{OVERFITTING} no_learning", "wrong"
    ),
    "answers shuffled, letters": Case(
        (*LORA, "prompt=letters"),
        ("accuracy of guessing", "loss of guessing", "plateau", "all answers the same"),
        "no_learning not_learning stopped_improving constant_lr_plateau",
        "shuffled",
    ),
    "letters, not learned": Case(
        (*LORA, "prompt=letters"),
        ("accuracy of guessing", "loss of guessing", "all answers the same"),
        "no_learning not_learning stopped_improving",
    ),
    "clipped at 0.01": Case((*LORA, "optimizer.max_grad_norm=0.01"), ("gradients clipped",), "grad_spikes gradients"),
    "constant learning rate": Case(
        (*LORA, "scheduler=constant"), ("learning rate never decayed",), "constant_lr_plateau lr_schedule"
    ),
    "20 updates": Case((*LORA, "objective.max_steps=20"), ("few updates",), "incomplete no_learning not_learning"),
    "bf16, not a number": Case(
        (
            *FULL,
            "hardware.precision=bf16",
            "optimizer.learning_rate=1e20",
            "optimizer.max_grad_norm=0",
        ),
        ("not a number",),
        "non_finite loss_degenerate gradients",
    ),
    "a spike in the log": Case((*LORA, "seed=3"), ("spikes",), "loss_spikes", spike=True),
    "smoke": Case(("+experiment=smoke",)),
    "lora_mcqa": Case(("+experiment=lora_mcqa",)),
    "lora_mcqa, batches of 16": Case(LORA),
    "lora_mcqa, seed 3": Case((*LORA, "seed=3")),
    "qlora_mcqa": Case(("+experiment=qlora_mcqa",)),
    "full_mcqa": Case(("+experiment=full_mcqa",)),
    "lora_mcqa, choice": Case((*LORA, "objective=choice")),
}


def place_of(outputs: Path, name: str) -> Path:
    case = CASES[name]
    same = next(
        other for other, its in CASES.items() if its.overrides == case.overrides and its.answers == case.answers
    )
    return outputs / "runs" / same.replace(" ", "_").replace(",", "") / "run"


def train(outputs: Path, part: str) -> None:
    """Train every case of a part that is not there. part: every n-th, as k/n."""
    from mcqa import train as command

    first, step = map(int, part.split("/"))
    for name in list(CASES)[first - 1 :: step]:
        place, case = place_of(outputs, name), CASES[name]
        if (place / "result.json").exists():
            continue
        data = [] if case.answers is None else ["data=local", f"data.path={_changed(outputs, case.answers)}"]
        config_dict = compose("config", [*case.overrides, *data, f"outputs={outputs}", "tracking=none"])
        place.mkdir(parents=True, exist_ok=True)
        write_yaml(place / "overrides.yaml", list(case.overrides))
        write_yaml(place / "config.yaml", config_dict)
        try:
            command.run(typed(config_dict, Config), place)
        except Exception as error:  # an ill run may fail
            print(f"{name}: {error}")


def _changed(outputs: Path, answers: str) -> Path:
    """Write the questions of data=facts, those of train with another answer key; return their folder."""
    from mcqa.data.loading import load

    folder, draw = outputs / f"questions_{answers}", Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    for split, questions in load(typed(compose("config", []), Config).data, ["train", "dev", "test"]).splits.items():
        rows = []
        for question in questions:
            choices, answer = list(question.choices), question.answer
            if split == "train" and answers == "shuffled":
                answer = draw.randrange(len(choices))
            elif split == "train" and answers == "wrong":
                answer = (answer + 1 + draw.randrange(len(choices) - 1)) % len(choices)
            rows.append(json.dumps({"question": question.question, "choices": choices, "answer": answer}))
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


# --- judging ---------------------------------------------------------------------------------------------------------


def with_spike(folder: Path) -> Path:
    """Return a copy of a run with one loss of its log eight times as high as those around it, at half of the start."""
    copy = folder.with_name("with_spike")
    subprocess.run(["cp", "-r", str(folder), str(copy)], check=True) if not copy.exists() else None
    rows = updates.read(folder / updates.FILE)
    (copy / updates.FILE).unlink()
    changed = [
        updates.Update(one.number, 0.5 * rows[0].loss, 20 * one.grad_norm, one.learning_rate)
        if one.number == SPIKE_AT
        else one
        for one in rows
    ]
    updates.append(copy / updates.FILE, changed)
    return copy


def ours(folder: Path, is_ill: bool) -> set[str]:
    """Return the names of the doctor's alarms."""
    alarms = {one.name for one in diagnose(history_of(folder)) if one.severity != "normal"}
    return alarms if is_ill else alarms - {"few updates"}


def others(folder: Path, binaries: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the alarms of runmedic and ftdoctor, by their names, about the log as transformers writes it."""
    history = history_of(folder)
    rows: list[dict[str, Any]] = [
        {"step": one.number, "loss": one.loss, "grad_norm": one.grad_norm, "learning_rate": one.learning_rate}
        for one in history.updates
    ]
    for one in history.dev:
        accuracy = {} if one.accuracy is None else {"eval_accuracy": one.accuracy.value}
        rows.append({"step": one.update, "eval_loss": one.loss, **accuracy})
    state = {"log_history": sorted(rows, key=lambda row: row["step"]), "global_step": history.last}
    target = folder / "as_transformers" / "trainer_state.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(state | {"max_steps": history.setup.planned or history.last}))
    yield "runmedic", _alarms([str(binaries / "runmedic"), "diagnose", "--json", str(target)])
    yield "ftdoctor", _alarms([str(binaries / "ftdoctor"), "diagnose", "-f", "json", str(target)])


def _alarms(command: Sequence[str]) -> set[str]:
    shown = subprocess.run(command, capture_output=True, text=True)
    try:
        answer = json.loads(shown.stdout)
    except ValueError:
        raise SystemExit(f"{' '.join(command)}: {shown.stdout}{shown.stderr}") from None
    return {
        str(one.get("id") or one.get("check") or one.get("code") or one.get("key"))
        for one in _findings(answer)
        if str(one["severity"]).lower() in ("warning", "critical")
    }


def _findings(answer: Any) -> Iterator[dict[str, Any]]:
    """Yield whatever has a severity, wherever it stands."""
    if isinstance(answer, dict):
        if "severity" in answer:
            yield answer
        for value in answer.values():
            yield from _findings(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from _findings(value)


def judge(outputs: Path, binaries: Path | None) -> None:
    """Print the alarms about each run, and precision and recall of each doctor."""
    judged: dict[str, list[tuple[bool, bool, bool]]] = {}  # ill, alarmed, recognised
    for name, case in CASES.items():
        folder = place_of(outputs, name)
        if not (folder / updates.FILE).exists():
            print(f"| {name} | not run |")
            continue
        folder = with_spike(folder) if case.spike else folder
        alarms = {"mcqa doctor": ours(folder, case.is_ill)} | (dict(others(folder, binaries)) if binaries else {})
        for doctor, found in alarms.items():
            wanted = set(case.ours if doctor == "mcqa doctor" else case.others.split())
            judged.setdefault(doctor, []).append((case.is_ill, bool(found), bool(found & wanted)))
        cells = [", ".join(sorted(found)) or "–" for found in alarms.values()]
        print(f"| {name} | {'ill' if case.is_ill else 'healthy'} | " + " | ".join(cells) + " |")
    print()
    for doctor, rows in judged.items():
        ill = sum(ill for ill, _, _ in rows)
        right, alarmed = sum(ill and found for ill, _, found in rows), sum(alarm for _, alarm, _ in rows)
        false = sum(alarm and not ill for ill, alarm, _ in rows)
        print(
            f"| {doctor} | {right} of {ill} recognised | {false} of {len(rows) - ill} healthy runs alarmed | "
            f"recall {right / ill:.2f} | precision {right / alarmed if alarmed else float('nan'):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["train", "judge"])
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--others", type=Path)
    parser.add_argument("--part", default="1/1", help="k/n: every n-th run from the k-th on")
    given = parser.parse_args()
    outputs = given.outputs.absolute()
    train(outputs, given.part) if given.do == "train" else judge(outputs, given.others and given.others.absolute())


if __name__ == "__main__":
    main()
