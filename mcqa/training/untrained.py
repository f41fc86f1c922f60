"""A run that trains nothing (objective=none): what it measures before is also what it measures after.

It has the metrics, predictions and page of any run, so that it can be an arm of a study or be compared with other runs.
There is no optimizer, no checkpoint and no model/: its model is the one that it began with. Its seed changes nothing.
"""

from functools import partial

from mcqa.evaluation.record import Measurements
from mcqa.evaluation.report import run_report
from mcqa.models import loading, sharding
from mcqa.runs import processes
from mcqa.training import steps
from mcqa.training.steps import Tokens


def measure_as_it_is(measurements: Measurements, tokens: Tokens) -> None:
    """Measure the base once on every set, record that under both names, and report it. A trial leaves test alone."""
    record = measurements.record
    config, hardware = record.config, sharding.evaluation_hardware(record.config.hardware)
    load = partial(loading.load_model, config.model, config.peft, hardware, tokens.tokenizer, config.seed)
    base = sharding.load_sharded(load, hardware) if sharding.shards_weights(hardware) else load()
    if record.trial is None:
        steps.note_look_at_test(record)
    steps.measure_base(measurements, tokens, sharding.parameter_count(base), base)
    for questions in tokens.sets:
        answers = measurements.predictions[f"base/{questions.split}"]
        measurements.add(questions.split, questions.questions, partial(list, answers), step=0)
    for held_out in tokens.conversations:
        losses = measurements.losses[f"base/{held_out.split}"]
        measurements.add_losses(held_out, partial(list, losses), step=0)
    if record.trial is None and processes.is_first():
        names = [name for name in measurements.predictions if not name.startswith("base/")]
        run_report.write_harness_files(
            measurements, [name for name in names if name != "dev"], base, tokens.tokenizer, tokens.shots
        )
        run_report.report_untrained(measurements)
