"""What do checkpoints cost? Their share of the training time, in one run of the main job.

    python benchmarks/checkpoint.py [minutes [override ...]]

minutes: objective.checkpoint_every_min, the default unless given. Both times are taken within one run: that of all
the training without measuring dev, and that of saving, flushing to the disk included. The run saves after every
epoch as well; the last line has what one checkpoint an interval costs, as in a long training.
"""

import sys
import tempfile
import time
from pathlib import Path

from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import tokens
from mcqa.data.loading import load
from mcqa.models import loading
from mcqa.models.loading import adapter_config
from mcqa.training import trainer


class Stopwatch:
    """Seconds within calls of a function, and how often it was called."""

    def __init__(self, do):
        self.do, self.seconds = do, []

    def __call__(self, *args, **kwargs):
        began = time.perf_counter()
        try:
            return self.do(*args, **kwargs)
        finally:
            self.seconds.append(time.perf_counter() - began)


def main(minutes: str | None, overrides: list[str]) -> None:
    given = [f"objective.checkpoint_every_min={minutes}"] if minutes else []
    config = typed(compose("config", ["+experiment=qlora_mcqa", "tracking=none", *given, *overrides]), Config)
    data = load(config.data)
    tokenizer = loading.load_tokenizer(config.model, [])
    training = tokens.training_set(tokenizer, config.prompt, config.objective, data.splits["train"], [])
    base = loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
    adapter = adapter_config(config.peft)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        metric = config.evaluation.best_metric
        arguments = trainer.trl_config(config, Path(folder), len(training.examples))
        learner = trainer.build(config, arguments, base, adapter, tokenizer, training, lambda: {metric: 0.0}, [])
        learner._save_checkpoint = saving = Stopwatch(learner._save_checkpoint)
        whole = Stopwatch(trainer.train)
        whole(learner)
        files = [path for path in Path(folder).rglob("checkpoint-*/*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / len({path.parent for path in files})
    spent, total = sum(saving.seconds), whole.seconds[0]
    every = 60 * config.objective.checkpoint_every_min if config.objective.checkpoint_every_min else total
    one = spent / len(saving.seconds)
    print(
        f"{learner.state.global_step} updates in {total:.1f} s without measuring, {size / 2**20:.1f} MiB a checkpoint"
    )
    print(f"{len(saving.seconds)} checkpoints, {1000 * one:.0f} ms each: {spent / total:.2%} of this run")
    print(f"At one every {every:.0f} s: {one / (one + every):.3%}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None, sys.argv[2:])
