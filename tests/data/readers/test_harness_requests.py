"""prompt=published asks what the tasks of the installed lm-evaluation-harness ask, word for word, on the same rows.

The rows are invented, in the format that each task reads from the hub; the tasks are built from their own YAML files.
"""

import json
import os
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcqa.config.composition import ROOT
from mcqa.config.schema import DataConfig, PromptConfig
from mcqa.data.loading import load
from mcqa.data.prompts import requests
from mcqa.data.question import Question
from mcqa.evaluation import lm_eval_files
from tests.data.test_prompts import prompt
from tests.evaluation.scoring import reference
from tests.evaluation.scoring.test_parity import predicted, starter
from tests.published_rows import data_config

pytestmark = pytest.mark.slow

POND = "  A heron stands in a pond.\n\nIt waits. "
FOUR = [" Trout", "a  whale", "Gecko ", "newt"]
HEADINGS = ["[title] Catch a fish", "reads [step] a  book. ", "melts", "then  flies  off [substeps]"]


def lettered(*texts: str) -> dict[str, Any]:
    return {"label": list("ABCDE")[: len(texts)], "text": list(texts)}


def race(*problems: dict[str, Any]) -> dict[str, Any]:
    return {"article": POND, "problems": repr(list(problems))}


def problem(question: str, answer: str) -> dict[str, Any]:
    return {"question": question, "options": FOUR, "answer": answer}


def bbh(options: str, target: str) -> dict[str, Any]:
    return {"input": f"Which day comes first?  \nIt is a week.\nOptions:\n{options}", "target": target}


@dataclass(frozen=True)
class Task:
    """A task of the harness and rows of its dataset. order: what stands for its random order of the choices."""

    name: str
    file: str
    set: str
    rows: list[dict[str, Any]]
    overrides: tuple[str, ...] = ()
    order: Any = None


TASKS = [
    Task(
        "arc_easy",
        "arc/arc_easy.yaml",
        "arc_easy",
        [{"id": "1", "question": " Which is it? ", "choices": lettered(*FOUR), "answerKey": "C"}],
    ),
    Task(
        "openbookqa",
        "openbookqa/openbookqa.yaml",
        "openbookqa",
        [{"id": "1", "question_stem": "A mammal is ", "choices": lettered(*FOUR), "answerKey": "B"}],
    ),
    Task(
        "commonsense_qa",
        "commonsense_qa/default.yaml",
        "commonsenseqa",
        [{"id": "1", "question": " Where? ", "choices": lettered(*FOUR, "frog"), "answerKey": "E"}],
    ),
    Task(
        "mmlu_college_biology",
        "mmlu/default/mmlu_college_biology.yaml",
        "mmlu",
        [{"question": "Which?\n", "choices": FOUR, "answer": 2, "subject": "college_biology"}],
    ),
    Task(
        "leaderboard_mmlu_pro",
        "leaderboard/mmlu_pro/mmlu_pro.yaml",
        "mmlu_pro",
        [
            {"question_id": n, "question": "Which? ", "options": options, "answer": answer, "category": "law"}
            for n, (options, answer) in enumerate([(FOUR, "D"), ([*FOUR, "5", "6", "7", "8", "9", "10"], "J")])
        ],
    ),
    Task(
        "medmcqa",
        "medmcqa/medmcqa.yaml",
        "medmcqa",
        [
            dict(zip(("opa", "opb", "opc", "opd"), FOUR, strict=True))
            | {"id": "1", "question": " Which? ", "cop": 3, "subject_name": "Skin"}
        ],
    ),
    Task(
        "medqa_4options",
        "medqa/medqa.yaml",
        "medqa",
        [
            {"id": "1", "sent1": "A man coughs.", "sent2": "", "label": 1}
            | dict(zip(("ending0", "ending1", "ending2", "ending3"), FOUR, strict=True))
        ],
    ),
    Task(
        "pubmedqa",
        "pubmedqa/pubmedqa.yaml",
        "pubmedqa",
        [
            {"QUESTION": " Do herons eat?", "CONTEXTS": ["They live.", "  They die. "], "final_decision": decision}
            for decision in ("yes", "no", "maybe")
        ],
    ),
    Task(
        "sciq",
        "sciq/sciq.yaml",
        "sciq",
        [
            {
                "question": "Which is it? ",
                "correct_answer": "a whale",
                "distractor1": "trout ",
                "distractor2": "gecko",
                "distractor3": "newt",
                "support": support,
            }
            for support in (POND, "")
        ],
    ),
    Task(
        "race",
        "race/race.yaml",
        "race",
        [
            race(problem("Where is  it?", "A")),
            race(problem("It is in  _  .", "B"), problem("Why ?", "C"), problem("It is _ . ", "D")),
        ],
        ("data.splits.test=test",),
    ),
    Task(
        "hellaswag",
        "hellaswag/hellaswag.yaml",
        "hellaswag",
        [
            {
                "activity_label": "Watching [x] birds",
                "ctx_a": "[header] How to watch  birds [title] Go out.",
                "ctx_b": continued,
                "endings": HEADINGS,
                "label": "2",
            }
            for continued in ("", "THEN a man")
        ],
    ),
    Task(
        "piqa",
        "piqa/piqa.yaml",
        "piqa",
        [{"goal": " To cool soup, ", "sol1": "blow on it ", "sol2": " boil it", "label": 1}],
    ),
    Task(
        "social_iqa",
        "siqa/siqa.yaml",
        "siqa",
        [
            {
                "context": POND,
                "question": "Why? ",
                "answerA": "to eat",
                "answerB": " to fly",
                "answerC": "to swim",
                "label": "3",
            }
        ],
    ),
    Task(
        "winogrande",
        "winogrande/default.yaml",
        "winogrande",
        [
            {
                "sentence": "The heron saw the fish as _ was  hungry. ",
                "option1": "heron",
                "option2": "fish",
                "answer": "1",
            },
            {"sentence": "_ swam away. It lived.", "option1": "The heron", "option2": "The fish", "answer": "2"},
        ],
    ),
    Task(
        "truthfulqa_mc1",
        "truthfulqa/truthfulqa_mc1.yaml",
        "truthfulqa",
        [{"question": "What are whales? ", "mc1_targets": {"choices": FOUR, "labels": [1, 0, 0, 0]}}],
    ),
    Task(
        "logiqa",
        "logiqa/logiqa.yaml",
        "logiqa",
        [{"label": "d", "context": POND, "question": "Which follows? ", "options": FOUR}],
    ),
    Task(
        "boolq",
        "super_glue/boolq/default.yaml",
        "boolq",
        [{"question": "do herons eat", "passage": POND, "idx": n, "label": n} for n in (0, 1)],
        ("data.columns.answer=label", "data.columns.answer_as=index"),
    ),
    Task(
        "gpqa_main_zeroshot",
        "gpqa/zeroshot/gpqa_main_zeroshot.yaml",
        "gpqa",
        [
            {
                "Question": " Which is it?\n",
                "Correct Answer": " a  whale [title] of a whale\n",
                "Incorrect Answer 1": "trout",
                "Incorrect Answer 2": "gecko",
                "Incorrect Answer 3": "newt ",
                "High-level domain": "Biology",
                "Record ID": "rec",
            }
        ],
        order=lambda choices: choices.insert(0, choices.pop()),
    ),
    Task(
        "leaderboard_bbh_date_understanding",
        "leaderboard/bbh_mc/date_understanding.yaml",
        "bbh",
        [bbh("(A) Monday\n(B) Tuesday \n(C) 3\n(D)  4\n(E) 5\n(F) 6", "(F)")],
    ),
    Task("leaderboard_bbh_navigate", "leaderboard/bbh_mc/navigate.yaml", "bbh", [bbh("- Yes\n- No", "No")]),
    Task(
        "leaderboard_bbh_formal_fallacies",
        "leaderboard/bbh_mc/formal_fallacies.yaml",
        "bbh",
        [bbh("- valid \n- invalid", "valid")],
    ),
]


def their_config(task: Task) -> dict[str, Any]:
    """The task's own YAML file, with our rows for its dataset and without examples before the question.

    Those of BBH are without the description of their task too, which stands directly before the question.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    import lm_eval.tasks
    from datasets import Dataset
    from lm_eval.tasks._yaml_loader import load_yaml

    loaded = load_yaml(Path(lm_eval.tasks.__file__).parent / task.file)
    rows = Dataset.from_list(task.rows)
    own = {key: value for key, value in loaded.items() if key not in ("tag", "group", "dataset_path", "dataset_name")}
    names = {own.get(f"{split}_split") for split in ("training", "validation", "test", "fewshot")} - {None}
    own |= {"description": ""} if task.set == "bbh" else {}
    return own | {"num_fewshot": 0, "custom_dataset": lambda **_: dict.fromkeys(names, rows)}


def their_requests(task: Task, monkeypatch) -> list[tuple[list[tuple[str, str]], int]]:
    """The requests of each document, and which of them is right."""
    from lm_eval.api.task import ConfigurableTask

    if task.order:
        monkeypatch.setattr(random, "shuffle", task.order)
    theirs = ConfigurableTask(config=their_config(task))
    theirs.build_all_requests(limit=None, rank=0, world_size=1)
    found = []
    for number, doc in enumerate(theirs.eval_docs):
        asked = [instance.args for instance in theirs.instances if instance.doc_id == number]
        target = theirs.doc_to_text(doc) if theirs.multiple_input else theirs.doc_to_target(doc)
        right = theirs.doc_to_choice(doc).index(target) if isinstance(target, str) else target
        found.append((asked, right))
    return found


def our_questions(task: Task, folder: Path) -> tuple[DataConfig, list[Question]]:
    config = data_config(task.set, task.overrides)
    lines = "".join(json.dumps(row) + "\n" for row in task.rows)
    (folder / f"{config.splits.test}.jsonl").write_text(lines, "utf-8")
    return config, load(replace(config, path=str(folder)), ["test"]).splits["test"]


def published(config: DataConfig, instruction: str = "") -> PromptConfig:
    return prompt("published", instruction=instruction).of_set(config)


@pytest.mark.parametrize("task", TASKS, ids=[task.name for task in TASKS])
def test_the_requests_of_a_task_are_those_of_prompt_published(task, tmp_path, monkeypatch):
    theirs = their_requests(task, monkeypatch)
    config, questions = our_questions(task, tmp_path)
    assert len(theirs) == len(questions) == len(task.rows)
    for (asked, right), question in zip(theirs, questions, strict=True):
        instruction = ""
        if task.name == "truthfulqa_mc1":  # solved questions of the authors, which the harness puts before each
            instruction = asked[0][0].removesuffix(f"\n\nQ: {question.question}\nA:")
            assert instruction.count("Q: ") == 6
        ours = requests(None, published(config, instruction), question, None)
        if task.set == "sciq":  # where the right answer stands last
            ours, question = [*ours[1:], ours[0]], replace(question, answer=3)
        assert ours == asked
        assert question.answer == right


def test_every_set_that_the_harness_measures_is_here():
    options = [yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / "conf" / "data").glob("*.yaml")]
    measured = {option["harness_task"] for option in options if option.get("harness_task")}
    assert measured - {"mmlu", "arc_challenge"} <= {task.name for task in TASKS}  # a task a subject; as arc_easy
    assert all(option["prompt"]["style"] for option in options if option.get("harness_task"))


SCORED = ["hellaswag", "winogrande", "sciq", "logiqa", "boolq", "piqa"]


def test_the_scores_of_a_model_are_those_of_the_harness(tmp_path):
    scored, tokenizer = starter()
    tasks = [task for task in TASKS if task.name in SCORED]
    found = reference.run(scored, tokenizer, [their_config(task) for task in tasks])["samples"]
    for task in tasks:
        folder = tmp_path / task.name
        folder.mkdir()
        config, questions = our_questions(task, folder)
        for ours, sample in zip(
            predicted(scored, tokenizer, published(config), questions, None), found[task.name], strict=True
        ):
            theirs = [log_likelihood for log_likelihood, _ in sample["filtered_resps"]][: len(ours.scores)]
            scores = [*ours.scores[1:], ours.scores[0]] if task.set == "sciq" else ours.scores
            assert scores == pytest.approx(theirs, abs=1e-3, rel=0), task.name
            outcomes = lm_eval_files.outcomes(ours)
            assert {key: sample[key] for key in ("acc", "acc_norm") if key in sample}.items() <= outcomes.items(), (
                task.name
            )
