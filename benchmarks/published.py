"""Published files whole: mcqa.evaluate beside lm-evaluation-harness with its own tasks, on the publishers' rows.

    python benchmarks/published.py DATA [--model embedded:starter] [--sets commonsenseqa,openbookqa,mmlu]

DATA has a folder for each set as its publisher has it: commonsenseqa/validation.jsonl, openbookqa/test.jsonl and
mmlu/test/<subject>.arrow. Each side reads the rows by itself: ours by data=<set>, theirs by the task's own YAML file.
Shown are both accuracies, questions with another answer (flips) and the largest difference of a choice's score.
"""

import argparse
import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import yaml

MMLU = (
    "prompt=template",
    "prompt.instruction='The following are multiple choice questions (with answers) about "
    '{{ subject | replace("_", " ") }}.\'',
    'prompt.template=\'{{ question | trim }}{{ "\\n" }}{% for choice in choices %}{{ letters[loop.index0] }}. '
    '{{ choice }}{{ "\\n" }}{% endfor %}Answer:\'',
    "prompt.answer_template='{{ letter }}'",
)
SETS = {  # overrides that word the prompt as their task does, and the files of their tasks
    "commonsenseqa": (("prompt=letters",), "commonsense_qa/default.yaml"),
    "openbookqa": (("prompt=plain",), "openbookqa/openbookqa.yaml"),
    "mmlu": (MMLU, "mmlu/default/mmlu_*.yaml"),
}


def ours(name, options, outputs):
    """The predictions of our command, and seconds."""
    from mcqa import evaluate
    from mcqa.config.composition import compose

    overrides = ["model=local", f"model.path={options.model}", f"data={name}", f"data.path={options.data}/{name}"]
    overrides += [*SETS[name][0], "splits=[test]", "tracking=none", f"outputs={outputs}"]
    began = time.process_time()
    measured = evaluate.main(compose("evaluate", overrides), overrides)
    return measured.predictions["test"], time.process_time() - began


def theirs(name, options):
    """The samples of their tasks in the order of our questions, and seconds."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    import lm_eval
    from lm_eval import evaluator
    from lm_eval import tasks as their_tasks
    from lm_eval.models.huggingface import HFLM

    from mcqa.config.composition import compose
    from mcqa.config.schema import Config
    from mcqa.config.validation import typed
    from mcqa.models import loading

    config = typed(compose("config", ["model=local", f"model.path={options.model}", "peft=none"]), Config)
    tokenizer = loading.load_tokenizer(config.model, [])
    model = loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0)
    folder = Path(lm_eval.__file__).parent / "tasks"
    tasks = [task(path, Path(options.data) / name) for path in sorted(folder.glob(SETS[name][1]))]
    tasks = [one for one in tasks if one is not None]
    began = time.process_time()
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16)
    manager = their_tasks.TaskManager(include_defaults=False)
    found = evaluator.simple_evaluate(lm, tasks=tasks, task_manager=manager, bootstrap_iters=0, num_fewshot=0)
    samples = [sample for one in tasks for sample in sorted(found["samples"][one["task"]], key=lambda s: s["doc_id"])]
    return samples, time.process_time() - began


def task(path, folder):
    """Their task as its file words it, over the rows of the folder; None where the folder lacks its subject."""
    from datasets import Dataset

    own = yaml.safe_load(path.read_text())
    if "include" in own:
        own = yaml.safe_load((path.parent / own.pop("include")).read_text()) | own
    subject = own.get("dataset_name")
    arrow = folder / "test" / f"{subject}.arrow"
    if arrow.exists():
        rows = Dataset.from_file(str(arrow))
    elif subject and (folder / "test").is_dir():
        return None
    else:
        (file,) = (folder / f"{split}.jsonl" for split in [own.get("test_split") or own["validation_split"]])
        rows = Dataset.from_list([json.loads(line) for line in file.open()])
    dropped = ("dataset_path", "dataset_name", "training_split", "validation_split", "test_split", "fewshot_split")
    kept = {key: value for key, value in own.items() if key not in dropped and not key.startswith("fewshot")}
    return kept | {"custom_dataset": partial(_rows, rows), "test_split": "test"}


def _rows(rows, **_):
    return {"test": rows}


def main(options):
    for name in options.sets.split(","):
        with tempfile.TemporaryDirectory() as outputs:
            rows, our_seconds = ours(name, options, outputs)
        samples, their_seconds = theirs(name, options)
        assert len(rows) == len(samples), (len(rows), len(samples))
        flips, difference = 0, 0.0
        for row, sample in zip(rows, samples, strict=True):
            said = [float(number) for number, _ in sample["filtered_resps"]]
            difference = max(difference, *(abs(a - b) for a, b in zip(row.scores, said, strict=True)))
            flips += row.prediction != max(range(len(said)), key=said.__getitem__)
        right = sum(row.correct for row in rows), round(sum(sample["acc"] for sample in samples))
        print(
            f"{name}: {len(rows)} questions; right {right[0]} (ours) and {right[1]} (theirs); flips {flips}; largest "
            f"difference {difference:.1e} nats; CPU {our_seconds:.0f} s and {their_seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", default="embedded:starter")
    parser.add_argument("--sets", default=",".join(SETS))
    main(parser.parse_args())
