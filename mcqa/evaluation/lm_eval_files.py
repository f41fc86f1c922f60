"""Results and samples in the files that lm-evaluation-harness writes with --log_samples --output_path.

    <folder>/<model's name>/results_<time>.json
    <folder>/<model's name>/samples_<task>_<time>.jsonl

Keys, nesting, hashes and file names are those of its version 0.4.13, so that what reads its files reads ours. Three
things are not known here and say so: `config.model` and `model_source` are `mcqa`, which did the scoring; every
is_greedy, whether a choice's text is what the model would have said itself, is None; and no version of lm_eval is
given.
"""

import hashlib
import json
import math
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mcqa.config.schema import Config, PromptConfig, SetConfig
from mcqa.data import prompts
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.evaluation.metrics import is_correct
from mcqa.evaluation.predictions import Prediction
from mcqa.models import sharding

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


PASSAGE_AND_QUESTION = "{% if context %}{{context | trim}}\n{% endif %}Question: {{question | trim}}\n"


LETTERED = "{% for choice in choices %}{{'" + ALPHABET + "'[loop.index0]}}. {{choice}}\n{% endfor %}"


@dataclass(frozen=True)
class Measurement:
    """What was measured and with what.

    model_name is a hub id or a folder; questions says what they are a split of; shots are the drawn ones of the
    prompt, if it has any; environment as in environment.json; began in seconds since 1970.
    """

    model_name: str
    model: Any
    tokenizer: Any
    config: Config
    questions: SetConfig
    shots: Shots | None
    environment: Mapping[str, Any]
    began: float


def write(folder: Path, task: str, rows: Sequence[Prediction], measured: Measurement) -> tuple[Path, Path]:
    """The files of results and of samples."""
    named = folder / sanitized(measured.model_name)
    named.mkdir(parents=True, exist_ok=True)
    date = datetime.now().isoformat().replace(":", "-")
    samples = [sample(number, row, measured) for number, row in enumerate(rows)]
    written = named / f"results_{date}.json", named / f"samples_{task}_{date}.jsonl"
    _write(written[0], json.dumps(results(task, samples, measured), indent=2, ensure_ascii=False))
    _write(written[1], "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in samples))
    return written


def sanitized(name: str) -> str:
    return re.sub(r'["<>:/|\\?*\[\]]+', "__", name)


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(text, "utf-8")
    aside.replace(path)


# --- samples ---------------------------------------------------------------------------------------------------------


def outcomes(row: Prediction) -> dict[str, float]:
    """1.0 or 0.0 by metric, as their multiple_choice does; a score that is not a number is never right."""
    names = ["acc", "acc_norm", "acc_bytes", *(["acc_mutual_info"] if row.unconditional is not None else [])]
    return {name: float(is_correct(row, name)) for name in names}


def document(question: Question) -> dict[str, Any]:
    return {
        "id": question.id,
        "question": question.question,
        "choices": list(question.choices),
        "answer": question.answer,
        "context": question.context,
        "subject": question.subject,
    }


def sample(number: int, row: Prediction, measured: Measurement) -> dict[str, Any]:
    """One line of the samples: scores as text, as theirs, and after the choices those without a prompt."""
    requests = prompts.requests(measured.tokenizer, measured.config.prompt, row.question, measured.shots)
    said = [*row.scores, *(row.unconditional or ())]
    alone = [("", after) for _, after in requests] if row.unconditional is not None else []
    responses = [[repr(score), "None"] for score in said]
    found, doc = outcomes(row), document(row.question)
    return {
        "doc_id": number,
        "doc": doc,
        "target": str(row.question.answer),
        "arguments": {
            f"gen_args_{i}": {"arg_0": before, "arg_1": after} for i, (before, after) in enumerate(requests + alone)
        },
        "resps": [[response] for response in responses],
        "filtered_resps": responses,
        "filter": "none",
        "metrics": list(found),
        "doc_hash": _hashed(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hashed(requests[0][0]),
        "target_hash": _hashed(str(row.question.answer)),
        **found,
    }


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


# --- results ---------------------------------------------------------------------------------------------------------


def results(task: str, samples: Sequence[Mapping[str, Any]], measured: Measurement) -> dict[str, Any]:
    """The results file: metrics of the samples, how they came about, and with what."""
    metrics = {name: [one[name] for one in samples] for name in samples[0]["metrics"]}
    values: dict[str, Any] = {}
    for name, each in metrics.items():
        values[f"{name},none"] = statistics.fmean(each)
        values[f"{name}_stderr,none"] = statistics.stdev(each) / math.sqrt(len(each)) if len(each) > 1 else "N/A"
    prompt = measured.config.prompt
    version = measured.environment["packages"].get("mcqa")
    return {
        "results": {task: {"name": task, "alias": task, "sample_len": len(samples), **values}},
        "group_subtasks": {},
        "configs": {task: task_config(task, list(metrics), measured)},
        "versions": {task: version},
        "n-shot": {task: prompt.shots},
        "higher_is_better": {task: dict.fromkeys(metrics, True)},
        "n-samples": {task: {"original": len(samples), "effective": len(samples)}},
        "config": _run(measured),
        "git_hash": measured.environment["git_commit"],
        "date": measured.began,
        "mcqa_version": version,
        "transformers_version": measured.environment["packages"].get("transformers"),
        **_tokenizer(measured),
        "task_hashes": {task: _hashed("".join(_hashes(one) for one in samples))},
        "model_source": "mcqa",
        "model_name": measured.model_name,
        "model_name_sanitized": sanitized(measured.model_name),
        **_chat(prompt, measured.tokenizer),
        "total_evaluation_time_seconds": str(time.time() - measured.began),
    }


def _hashes(sample: Mapping[str, Any]) -> str:
    return str(sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"])


def task_config(task: str, metrics: Sequence[str], measured: Measurement) -> dict[str, Any]:
    """The task in their words; over the samples' docs theirs asks the same. Shots drawn per question have no words."""
    prompt, data, split = measured.config.prompt, measured.questions.data, measured.questions.split
    lettered = prompt.style == "letters"
    fixed = measured.shots.fixed if measured.shots else []
    return {
        "task": task,
        "dataset_path": data.hub or data.path or data.source,
        **({"dataset_name": data.hub_config} if data.hub_config else {}),
        "test_split": getattr(data.splits, split) or data.splits.train or split,  # a dev of null is cut from train
        "doc_to_text": PASSAGE_AND_QUESTION + (LETTERED if lettered else "") + "Answer:",
        "doc_to_target": "answer",
        "unsafe_code": False,
        "doc_to_choice": "{{('" + ALPHABET + "' | list)[:choices | length]}}" if lettered else "choices",
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


def _run(measured: Measurement) -> dict[str, Any]:
    config = measured.config
    return {
        "model": "mcqa",
        "model_args": {"pretrained": measured.model_name, "dtype": config.hardware.precision},
        "model_num_parameters": sharding.parameter_count(measured.model),
        "model_dtype": str(measured.model.dtype),
        "model_revision": config.model.revision or "main",
        "model_sha": "",
        "batch_size": None,
        "batch_sizes": [],
        "device": config.hardware.device,
        "use_cache": None,
        "limit": measured.questions.data.limit if measured.questions.split == "train" else None,
        "bootstrap_iters": 0,
        "gen_kwargs": None,
        "random_seed": config.seed,
        "numpy_seed": config.seed,
        "torch_seed": config.seed,
        "fewshot_seed": config.prompt.shots_seed,
    }


def _tokenizer(measured: Measurement) -> dict[str, Any]:
    tokenizer = measured.tokenizer
    tokens = {
        f"tokenizer_{name}_token": [getattr(tokenizer, f"{name}_token"), str(getattr(tokenizer, f"{name}_token_id"))]
        for name in ("pad", "eos", "bos")
    }
    length = getattr(measured.model.config.get_text_config(), "max_position_embeddings", None)
    return tokens | {"eot_token_id": tokenizer.eos_token_id, "max_length": length}


def _chat(prompt: PromptConfig, tokenizer: Any) -> dict[str, Any]:
    template = tokenizer.chat_template if prompt.chat_template else None
    return {
        "system_instruction": None,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": False,
        "chat_template": template,
        "chat_template_sha": _hashed(template) if template else None,
    }
