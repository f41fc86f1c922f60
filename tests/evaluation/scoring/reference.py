"""Our questions as tasks of the installed lm-evaluation-harness, run in this process and without a network."""

import os
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

from mcqa.config.schema import PromptConfig
from mcqa.data.question import Question
from mcqa.evaluation.lm_eval_files import document

METRICS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
QUESTION = "{% if context %}{{ context }}\n{% endif %}Question: {{ question }}\n"
TRIMMED = "{% if context %}{{ context | trim }}\n{% endif %}Question: {{ question | trim }}\n"
OPTIONS = "{% for choice in choices %}{{ '" + LETTERS + "'[loop.index0] }}. {{ choice }}\n{% endfor %}"
PASSAGE = "{% if context %}{{ context }}\n{% endif %}"
STYLES = {
    "cloze": {"doc_to_text": QUESTION + "Answer:", "doc_to_choice": "choices"},
    "letters": {
        "doc_to_text": TRIMMED + OPTIONS + "Answer:",
        "doc_to_choice": "{{ ('" + LETTERS + "' | list)[:choices | length] }}",
    },
    "letters_with_text": {
        "doc_to_text": TRIMMED + OPTIONS + "Answer:",
        "doc_to_choice": lambda doc: [
            f"{letter}. {text}" for letter, text in zip(LETTERS, doc["choices"], strict=False)
        ],
    },
    "plain": {"doc_to_text": PASSAGE + "{{ question }}", "doc_to_choice": "choices"},
    "continuation": {
        "doc_to_text": lambda doc: f"{doc['context']} {doc['question']}" if doc["context"] else doc["question"],
        "doc_to_choice": "choices",
    },
    "blank": {
        "doc_to_text": lambda doc: doc["answer"],
        "doc_to_choice": lambda doc: [
            (f"{doc['context']}\n" if doc["context"] else "") + doc["question"].partition("_")[0] + choice
            for choice in doc["choices"]
        ],
        "doc_to_target": lambda doc: doc["question"].partition("_")[2].strip(),
    },
}


def task(
    name: str, prompt: PromptConfig, questions: Sequence[Question], shots: Sequence[Question] = ()
) -> dict[str, Any]:
    """A task's configuration; its prompt is written out here anew, so that a mistake in ours shows."""
    return {
        "task": name,
        "custom_dataset": lambda **_: {"test": dataset(questions)},
        "test_split": "test",
        "output_type": "multiple_choice",
        "description": f"{prompt.instruction}\n\n" if prompt.instruction else "",
        "doc_to_target": "answer",
        **STYLES[prompt.style],
        "num_fewshot": len(shots),
        "fewshot_config": {"sampler": "first_n", "samples": [document(shot) for shot in shots]},
        "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in METRICS],
    }


def dataset(questions: Sequence[Question]) -> Any:
    from datasets import Dataset

    return Dataset.from_list([document(question) for question in questions])


def run(
    model: Any, tokenizer: Any, tasks: Sequence[dict[str, Any]], max_length: int | None = None, **options: Any
) -> dict[str, Any]:
    """What their simple_evaluate returns for all tasks, with samples; max_length in tokens.

    Without its look at the machine, which takes longer than the evaluation.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    from lm_eval import evaluator
    from lm_eval import tasks as their_tasks
    from lm_eval.models.huggingface import HFLM

    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=16, max_length=max_length, enable_thinking=False)
    manager = their_tasks.TaskManager(include_defaults=False)
    with patch.object(evaluator, "add_env_info"):
        found: dict[str, Any] = evaluator.simple_evaluate(
            theirs, tasks=list(tasks), task_manager=manager, bootstrap_iters=1, **options
        )
    return found
