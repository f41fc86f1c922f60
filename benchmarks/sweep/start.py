"""A trial's fixed cost: from its submission to its first training step, phase by phase.

    python benchmarks/sweep.py start [--trials 5] [--folder DIR] [override ...]

Two studies of the main job's adapter on the embedded model, one trial at a time, each ended at its first step: in one
each trial is a process that imports everything (cold), in the other one those after the first are forks of a process
that has (warm). The trials are those of a real study; only the function that they run is wrapped, so that its stages
note how long they take. Trial 0 measures the base, which the others read; they are shown as medians. Seconds of the
processor are those of the trial's own process.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from printed import table

IMPORTS = ("torch", "transformers", "datasets", "trl", "trl.trainer.sft_trainer", "peft")
"""In this order; what one brings along counts for the first that needs it."""
OWN = ("models.devices", "data.tokens", "models.loading", "runs.record", "training.steps", "training.trainer")
STAGES = {
    "runs.record:Record:__init__": "run folder, git, tracker",
    "training.steps:record_inputs": "run folder, git, tracker",
    "evaluation.report.run_report:show_inputs": "run folder, git, tracker",
    "evaluation.report.run_report:show_base": "run folder, git, tracker",
    "models.devices:check": "hardware",
    "training.steps:load_inputs": "questions",
    "data.splits:subsample": "questions",
    "models.loading:load_tokenizer": "tokenizer",
    "models.loading:fingerprint": "tokenizer",
    "training.steps:training_set_of": "tokenizing train",
    "training.steps:question_sets": "tokenizing dev",
    "training.steps:question_set": "tokenizing dev",
    "training.steps:trl_config": "trainer's arguments",
    "models.loading:load_model": "model",
    "evaluation.record:Measurements:add": "answers of the base",
    "training.trainer:build": "trainer",
}
"""What train.run calls in turn."""


class Phases:
    """Seconds by the clock and of the processor by phase, in the order in which they began.

    A stage within a stage counts for the outer one.
    """

    def __init__(self) -> None:
        self.seconds, self.inside = {}, False

    def add(self, phase, seconds, processor=0.0):
        before = self.seconds.get(phase, (0.0, 0.0))
        self.seconds[phase] = before[0] + seconds, before[1] + processor

    def timed(self, phase, call):
        def wrapped(*args, **kwargs):
            if self.inside:
                return call(*args, **kwargs)
            self.inside, began, processor = True, now(), time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                self.inside = False
                self.add(phase, now() - began, time.process_time() - processor)

        return wrapped

    def wrap(self, path, phase):
        module, *owner, name = path.split(":")
        holder = importlib.import_module(f"mcqa.{module}")
        holder = getattr(holder, owner[0]) if owner else holder
        setattr(holder, name, self.timed(phase, getattr(holder, name)))


def now():
    """Seconds since the machine started; the clock on the wall may be set in between."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def started(pid):
    """When a process did, to a hundredth of a second."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def task(config_dict, overrides):
    """What a trial runs: mcqa.train, with its stages timed."""
    from mcqa import train
    from mcqa.models import fast_import
    from mcqa.runs import trial

    entered, phases, folder = now(), Phases(), trial.current().folder
    (folder / "kind").write_text("warm" if "torch" in sys.modules else "cold")
    submitted = now() - (time.time() - json.loads((folder / "job.json").read_text())[-1]["submitted"])
    phases.add("submission", started(os.getppid()) - submitted)
    phases.add("starter: interpreter, submitit", started(os.getpid()) - started(os.getppid()))
    phases.add("trial: interpreter, submitit, Hydra", entered - started(os.getpid()), time.process_time())
    with fast_import.fast_imports(compiled=False):
        for module in (*IMPORTS, *(f"mcqa.{name}" for name in OWN)):
            imported = "import mcqa's own" if module.startswith("mcqa") else f"import {module}"
            phases.timed(imported, importlib.import_module)(module)
    for path, phase in STAGES.items():
        phases.wrap(path, phase)
    end_at_first_step(phases, folder, submitted)
    train.main(config_dict, overrides)


def end_at_first_step(phases, folder, submitted):
    import transformers

    from mcqa.runs.trial import Pruned
    from mcqa.training import trainer

    class FirstStep(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            phases.add("training begins", now() - began, time.process_time() - processor)
            phases.add("all", now() - submitted, time.process_time())
            (folder / "phases.json").write_text(json.dumps(phases.seconds))
            raise Pruned

    began, processor, train = 0.0, 0.0, trainer.train

    def until_first_step(built):
        nonlocal began, processor
        began, processor = now(), time.process_time()
        built.add_callback(FirstStep())
        train(built)

    trainer.train = until_first_step


def study(kind: str, folder: Path, trials: int, overrides: list[str]) -> list[dict[str, tuple[float, float]]]:
    """What the trials of this kind took; one that starts through a shell of its own is always cold."""
    setup = ["+hydra.launcher.setup=['true']"] if kind == "cold" else []
    command = [
        *(sys.executable, __file__, "study", "--multirun", "+experiment=lora_mcqa", "+sweeps=core", *setup),
        *("hydra/sweeper/sampler=random", "hydra/sweeper/pruner=none", f"hydra.sweeper.study_name={kind}"),
        *(f"hydra.sweeper.n_trials={trials}", "hydra.sweeper.n_jobs=1", f"outputs={folder}", *overrides),
    ]
    subprocess.run(command, check=True, stdout=sys.stderr, env=os.environ | {"OMP_NUM_THREADS": "1"})
    folders = [folder / "sweeps" / kind / "trials" / str(number) for number in range(trials)]
    of_kind = [one for one in folders if (one / "kind").read_text() == kind]
    return [with_the_rest(json.loads((one / "phases.json").read_text())) for one in of_kind]


def shown(cold: list[dict[str, tuple[float, float]]], warm: list[dict[str, tuple[float, float]]]) -> None:
    first, *others = cold
    kinds = {f"cold, median of {len(others)}": others, f"warm, median of {len(warm)}": warm}
    rows = [[phase, *first[phase], *medians(phase, others), *medians(phase, warm)] for phase in first]
    heads = ["phase, s", "trial 0, cold", "its processor"]
    table(
        [*heads, *(head for kind in kinds for head in (kind, "their processor"))],
        sorted(rows, key=lambda row: row[0] == "all"),
    )


def medians(phase, found):
    return [statistics.median(one.get(phase, (0.0, 0.0))[clock] for one in found) for clock in (0, 1)]


def with_the_rest(one):
    """What lies between the phases, too."""
    rest = [2 * one["all"][clock] - sum(phase[clock] for phase in one.values()) for clock in (0, 1)]
    return one | {"the rest": rest}


def main() -> None:
    if sys.argv[1:2] == ["study"]:
        from mcqa.config.command import hydra_command
        from mcqa.config.schema import Config
        from mcqa.sweep.adapter import RunHooks

        del sys.argv[1]
        hydra_command("config", Config, task, RunHooks("config", Config))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="kept (default: a temporary one)")
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        shown(*(study(kind, folder, options.trials, overrides) for kind in ("cold", "warm")))


if __name__ == "__main__":
    main()
