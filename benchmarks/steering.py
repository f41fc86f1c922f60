"""What share of its training time does the main job spend on measuring dev?

    python benchmarks/steering.py [overrides]

Runs the main job (or what the overrides make of it) and adds up the seconds inside measurements during training and
the seconds of its updates.
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
from mcqa.data.prompts import Shots
from mcqa.evaluation.measure import measure, named_metrics, question_set, restrict_to_steering_metrics
from mcqa.models import loading
from mcqa.models.loading import adapter_config
from mcqa.training import trainer


class Updates(trainer.TrainerCallback):
    """Seconds between the begin and the end of updates."""

    seconds = 0.0

    def on_step_begin(self, args, state, control, **kwargs):
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.seconds += time.perf_counter() - self.began


def main(overrides: list[str]) -> None:
    config = typed(compose("config", ["+experiment=qlora_mcqa", "tracking=none", *overrides]), Config)
    splits = load(config.data).splits
    tokenizer, shots = loading.load_tokenizer(config.model, []), Shots(config.prompt, splits["train"])
    training = tokens.training_set(tokenizer, config.prompt, config.objective, splits["train"], [], shots)
    steering = question_set(
        "dev", splits["dev"], config.prompt, restrict_to_steering_metrics(config.evaluation), tokenizer, shots
    )
    base = loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
    spent: list[float] = []

    def measured() -> dict[str, float]:
        began = time.perf_counter()
        found = named_metrics(measure(learner.model, steering, config.hardware), steering)
        spent.append(time.perf_counter() - began)
        return found

    with tempfile.TemporaryDirectory() as folder:
        adapter = adapter_config(config.peft)
        arguments = trainer.trl_config(config, Path(folder), len(training.examples))
        learner = trainer.build(config, arguments, base, adapter, tokenizer, training, measured, observers=[])
        learner.add_callback(clock := Updates())
        trainer.train(learner)
    print(f"updates       {clock.seconds:.1f} s")
    print(f"measurements  {sum(spent):.1f} s, {len(spent)} times {len(steering.questions)} questions")
    print(f"share         {sum(spent) / clock.seconds:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
