"""The names of the commands, and of what mcqa.verify checks, for what lists them and does not run them."""

COMMANDS = {
    "inspect": "mcqa.inspect",
    "train": "mcqa.train",
    "evaluate": "mcqa.evaluate",
    "compare": "mcqa.compare.__main__",
    "runs": "mcqa.runs.__main__",
    "doctor": "mcqa.doctor",
    "ask": "mcqa.ask",
    "export": "mcqa.export",
    "report": "mcqa.sweep.report.__main__",
    "jobs": "mcqa.jobs",
    "verify": "mcqa.verify",
    "prefetch": "mcqa.prefetch",
    "completion": "mcqa.completion",
}
"""The module of each command, in the order in which they are shown."""

CHECKS = ("resume", "accumulation", "choice", "packing", "determinism")
"""What mcqa.verify checks; the keys of verification.CHECKS, whose module imports torch."""
