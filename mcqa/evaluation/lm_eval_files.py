"""Results and samples in the file formats of lm-evaluation-harness (--log_samples --output_path).

    <folder>/<model's name>/results_<time>.json
    <folder>/<model's name>/samples_<task>_<time>.jsonl     of each task

Keys, nesting, hashes and file names are those of its version 0.4.13, so that programs that read its files read these.
Three things are unknown here: `config.model` and `model_source` are `mcqa`, which did the scoring; every is_greedy,
whether the model would have generated the choice's text itself, is None; and no version of lm_eval is given.
"""

import hashlib
import json
import math
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mcqa.config.prompt_styles import CHOICE, templates
from mcqa.config.schema import Config, PromptConfig, SetConfig
from mcqa.data import prompts
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.evaluation.decisions import is_correct
from mcqa.evaluation.predictions import Prediction
from mcqa.models import sharding
from mcqa.runs.files import write_text

LETTERS = "{% set letters = ('" + ascii_uppercase + "' | list)[:choices | length] %}"
OF_EVERY_CHOICE = (
    "{% set all = namespace(texts=[]) %}{% for choice in choices %}{% set letter = letters[loop.index0] %}"
    "{% set number = loop.index %}{% set text %}TEMPLATE{% endset %}{% set all.texts = all.texts + [text] %}"
    "{% endfor %}{{ all.texts }}"
)
"""Jinja2 of their tasks, for the names that templates have here and their documents have not."""

OF_EACH_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "task_hashes")
"""Keys of a results file that have a value for each task."""


@dataclass(frozen=True)
class Measurement:
    """What was measured and with what.

    model_name: a hub id or a folder. questions: the data and its split. shots: those drawn for the prompt, if it has
    any. environment: as in environment.json. began: seconds since 1970. first_look: how many questions were measured
    and how many there are, where these were not all.
    """

    model_name: str
    model: Any
    tokenizer: Any
    config: Config
    questions: SetConfig
    shots: Shots | None
    environment: Mapping[str, Any]
    began: float
    first_look: tuple[int, int] | None = None

    @property
    def prompt(self) -> PromptConfig:
        """The prompt of these questions."""
        return self.config.prompt.of_set(self.questions.data)


def write(folder: Path, tasks: Mapping[str, tuple[Sequence[Prediction], Measurement]]) -> list[Path]:
    """Write one file of results for all tasks, and one of samples for each; return their paths, in this order.

    tasks: predictions and measurement by the name of the task, all of one model.
    """
    (model_name,) = {measurement.model_name for _, measurement in tasks.values()}
    folder = folder / sanitized(model_name)
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.now().isoformat().replace(":", "-")
    files, contents = [folder / f"results_{date}.json"], []
    for task, (rows, measurement) in tasks.items():
        samples = [sample(number, row, measurement) for number, row in enumerate(rows)]
        contents.append(results(task, samples, measurement))
        files.append(folder / f"samples_{task}_{date}.jsonl")
        write_text(files[-1], "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in samples))
    write_text(files[0], json.dumps(_of_all_tasks(contents), indent=2, ensure_ascii=False))
    return files


def _of_all_tasks(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put the results of several tasks together as they do: by task where it has values of its own."""
    merged = dict(contents[-1])
    for key in OF_EACH_TASK:
        merged[key] = {task: value for content in contents for task, value in content[key].items()}
    return merged


def sanitized(name: str) -> str:
    """Return the name as they turn it into that of a folder."""
    return re.sub(r'["<>:/|\\?*\[\]]+', "__", name)


def outcomes(row: Prediction) -> dict[str, float]:
    """Return 1.0 or 0.0 by metric, as their multiple_choice does; a score that is not a number is never right."""
    names = ["acc", "acc_norm", "acc_bytes", *(["acc_mutual_info"] if row.unconditional is not None else [])]
    return {name: float(is_correct(row, name)) for name in names}


def document(question: Question) -> dict[str, Any]:
    """Return the question as one of their documents, which the templates of the task read."""
    names = ("id", "question", "choices", "answer", "context", "subject")
    shown = {"choices": list(question.choices), "context": question.shown_context}
    return {name: getattr(question, name) for name in names} | shown


def sample(number: int, row: Prediction, measurement: Measurement) -> dict[str, Any]:
    """Return one line of the samples: scores as strings, those without a prompt after those of the choices."""
    target = str(row.question.answer)
    if templates(measurement.prompt).text_names_choice:
        target = prompts.answers(measurement.prompt, row.question)[row.question.answer]
        row = replace(row, unconditional=None)  # for which they score what stands before the answer
    requests = prompts.requests(measurement.tokenizer, measurement.prompt, row.question, measurement.shots)
    unconditional = [("", after) for _, after in requests] if row.unconditional is not None else []
    responses = [[repr(score), "None"] for score in (*row.scores, *(row.unconditional or ()))]
    metrics, doc = outcomes(row), document(row.question)
    arguments = [{"arg_0": before, "arg_1": after} for before, after in requests + unconditional]
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": {f"gen_args_{i}": pair for i, pair in enumerate(arguments)},
        "resps": [[response] for response in responses],
        "filtered_resps": responses,
        "filter": "none",
        "metrics": list(metrics),
        "doc_hash": _sha256(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _sha256(requests[0][0]),
        "target_hash": _sha256(target),
        **metrics,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def results(task: str, samples: Sequence[Mapping[str, Any]], measurement: Measurement) -> dict[str, Any]:
    """Return the content of the results file: metrics of the samples, and the configuration that gave them."""
    metrics = {name: [line[name] for line in samples] for name in samples[0]["metrics"]}
    values: dict[str, Any] = {}
    for name, outcome in metrics.items():
        error = statistics.stdev(outcome) / math.sqrt(len(outcome)) if len(outcome) > 1 else "N/A"
        values |= {f"{name},none": statistics.fmean(outcome), f"{name}_stderr,none": error}
    hashes = "".join(line[key] for line in samples for key in ("doc_hash", "prompt_hash", "target_hash"))
    prompt = measurement.prompt
    template = measurement.tokenizer.chat_template if prompt.chat_template else None
    version = measurement.environment["packages"].get("mcqa")
    return {
        "results": {task: {"name": task, "alias": task, "sample_len": len(samples), **values}},
        "group_subtasks": {},
        "configs": {task: task_config(task, list(metrics), measurement)},
        "versions": {task: version},
        "n-shot": {task: prompt.shots},
        "higher_is_better": {task: dict.fromkeys(metrics, True)},
        "n-samples": {task: {"original": (measurement.first_look or [len(samples)])[-1], "effective": len(samples)}},
        "config": _run_config(measurement),
        "git_hash": measurement.environment["git_commit"],
        "date": measurement.began,
        "mcqa_version": version,
        "transformers_version": measurement.environment["packages"].get("transformers"),
        **_tokenizer(measurement),
        "task_hashes": {task: _sha256(hashes)},
        "model_source": "mcqa",
        "model_name": measurement.model_name,
        "model_name_sanitized": sanitized(measurement.model_name),
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": False,
        "chat_template": template,
        "chat_template_sha": _sha256(template) if template else None,
        "total_evaluation_time_seconds": str(time.time() - measurement.began),
    }


def task_config(task: str, metrics: Sequence[str], measurement: Measurement) -> dict[str, Any]:
    """Return their configuration of the task: on the documents of the samples it builds the same requests.

    They have no setting for shots that are drawn anew for each question.
    """
    prompt, data, split = measurement.prompt, measurement.questions.data, measurement.questions.split
    fixed = measurement.shots.fixed if measurement.shots else []
    return {
        "task": task,
        "dataset_path": data.hub or data.path or data.source,
        **({"dataset_name": data.hub_config} if data.hub_config else {}),
        "test_split": getattr(data.splits, split) or data.splits.train or split,  # dev null: split off train
        **_templates(prompt),
        "unsafe_code": False,
        "description": f"{prompt.instruction}\n\n" if prompt.instruction else "",
        "target_delimiter": " ",
        "fewshot_delimiter": "\n\n",
        "fewshot_config": {"sampler": "first_n", "samples": [document(shot) for shot in fixed]} if fixed else {},
        "num_fewshot": prompt.shots,
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in metrics],
        "output_type": "multiple_choice",
        "repeats": 1,
        "should_decontaminate": False,
        "metadata": {"shots_draw": prompt.shots_draw, "chat_template": prompt.chat_template},
    }


def _templates(prompt: PromptConfig) -> dict[str, str]:
    """Return our templates as theirs. Where the choices are read after different texts, doc_to_text is a number."""
    style = templates(prompt)
    if style.text_names_choice:
        return {
            "doc_to_text": "answer",
            "doc_to_target": LETTERS + style.answer,
            "doc_to_choice": LETTERS + OF_EVERY_CHOICE.replace("TEMPLATE", style.text),
        }
    choices = "choices" if style.answer == CHOICE else LETTERS + OF_EVERY_CHOICE.replace("TEMPLATE", style.answer)
    return {"doc_to_text": LETTERS + style.text, "doc_to_target": "answer", "doc_to_choice": choices}


def _run_config(measurement: Measurement) -> dict[str, Any]:
    config = measurement.config
    return {
        "model": "mcqa",
        "model_args": {"pretrained": measurement.model_name, "dtype": config.hardware.precision},
        "model_num_parameters": sharding.parameter_count(measurement.model),
        "model_dtype": str(measurement.model.dtype),
        "model_revision": config.model.revision or "main",
        "model_sha": "",
        "batch_size": None,
        "batch_sizes": [],
        "device": config.hardware.device,
        "use_cache": None,
        "limit": _limit(measurement),
        "bootstrap_iters": 0,
        "gen_kwargs": None,
        "random_seed": config.seed,
        "numpy_seed": config.seed,
        "torch_seed": config.seed,
        "fewshot_seed": config.prompt.shots_seed,
    }


def _limit(measurement: Measurement) -> int | None:
    if measurement.first_look is not None:
        return measurement.first_look[0]
    return measurement.questions.data.limit if measurement.questions.split == "train" else None


def _tokenizer(measurement: Measurement) -> dict[str, Any]:
    tokenizer = measurement.tokenizer
    tokens = {
        f"tokenizer_{name}_token": [getattr(tokenizer, f"{name}_token"), str(getattr(tokenizer, f"{name}_token_id"))]
        for name in ("pad", "eos", "bos")
    }
    length = getattr(measurement.model.config.get_text_config(), "max_position_embeddings", None)
    return tokens | {"eot_token_id": tokenizer.eos_token_id, "max_length": length}
