"""What we write reads as if lm-evaluation-harness had written it, because on the same questions it does."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mcqa.config.schema import SetConfig, Splits
from mcqa.data import facts
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.data.splits import subsample
from mcqa.evaluation import lm_eval_files
from mcqa.evaluation.measure import measure, question_set
from mcqa.evaluation.predictions import Prediction
from mcqa.models import loading
from tests.evaluation.scoring import reference
from tests.small_runs import configured

TASK = "facts"
ENVIRONMENT = {"git_commit": "0123abc", "packages": {"mcqa": "1.2.3", "transformers": "5.0.0"}}
NAME = "somebody/some model:v1"
SANITIZED = "somebody__some model__v1"
NOT_THEIRS = {"mcqa_version"}
"""Of our results file."""


PROMPTS = {
    "cloze": ["prompt=cloze", "prompt.shots=2", "prompt.instruction=Choose well."],
    "letters": ["prompt=letters"],
    "letters_with_text": ["prompt=letters_with_text", "prompt.shots=1"],
    "blank": ["prompt=blank", "prompt.shots=2"],
    "template": [
        "prompt=template",
        "prompt.instruction='On {{ subject or letters[1] }}.'",
        "prompt.template='{{ context }} {{ question }} ({{ choices | join(\", \") }}, {{ letters | last }})'",
        "prompt.answer_template='{{ number }}) {{ choice }}'",
        "prompt.shots=1",
    ],
}


def asked_by(prompt, question: Question) -> Question:
    """The question as a sentence with a blank, where the prompt needs one."""
    return replace(question, question=f"{question.question} It is _, surely.") if prompt.style == "blank" else question


@pytest.fixture(scope="module", params=PROMPTS)
def measured(request) -> lm_eval_files.Measurement:
    config, _ = configured(["model=starter", "peft=none", *PROMPTS[request.param]])
    tokenizer = loading.load_tokenizer(config.model, [])
    scored = loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0)
    shots = Shots(config.prompt, [asked_by(config.prompt, question) for question in facts.questions("train")])
    asked = SetConfig("facts", "test", config.data)
    return lm_eval_files.Measurement(NAME, scored, tokenizer, config, asked, shots, ENVIRONMENT, time.time() - 3)


@pytest.fixture(scope="module")
def rows(measured) -> list[Prediction]:
    questions = [
        *subsample(facts.questions("test"), 0, 10),
        Question("é", "Wie heißt die größte Stadt?", ("Zürich", "Genève"), 0, "Ein Text.", "Geografie"),
    ]
    config = measured.config
    questions = [asked_by(config.prompt, question) for question in questions]
    evaluation = replace(config.evaluation, unconditional=True)
    asked = question_set("test", questions, config.prompt, evaluation, measured.tokenizer, measured.shots)
    return measure(measured.model, asked, config.hardware)


@pytest.fixture(scope="module")
def ours(measured, rows, tmp_path_factory) -> tuple[Path, Path]:
    results, samples = lm_eval_files.write(tmp_path_factory.mktemp("ours"), {TASK: (rows, measured)})
    return results, samples


def test_a_first_look_has_their_limit(measured, rows):
    samples = [lm_eval_files.sample(number, row, measured) for number, row in enumerate(rows)]
    few = lm_eval_files.results(TASK, samples, replace(measured, first_look=(11, 500)))
    assert few["config"]["limit"] == 11 and few["n-samples"] == {TASK: {"original": 500, "effective": 11}}
    every = lm_eval_files.results(TASK, samples, measured)
    assert every["config"]["limit"] is None and every["n-samples"] == {TASK: {"original": 11, "effective": 11}}


@pytest.fixture(scope="module")
def theirs(measured, rows, ours, tmp_path_factory) -> tuple[Path, Path]:
    """The files of their own tracker, of a run of the task as our results file words it, over our documents."""
    worded = json.loads(ours[0].read_text("utf-8"))["configs"][TASK]
    for key in ("dataset_path", "dataset_name"):
        worded.pop(key, None)
    questions = [row.question for row in rows]
    worded |= {"custom_dataset": lambda **_: {"test": reference.dataset(questions)}, "test_split": "test"}
    folder = tmp_path_factory.mktemp("theirs")
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder))
    found = reference.run(
        measured.model, measured.tokenizer, [worded],
        evaluation_tracker=tracker, model_args=f"pretrained={NAME}", fewshot_as_multiturn=False,
    )  # fmt: skip
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples)
    tracker.save_results_samples(TASK, samples[TASK])
    (results,), (lines,) = folder.glob("*/results_*"), folder.glob("*/samples_*")
    return results, lines


def read(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def lines(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="\n") as rows:
        return [json.loads(row) for row in rows]


# --- beside theirs ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_files_lie_and_are_named_as_theirs(ours, theirs):
    from lm_eval import utils

    for mine, other in zip(ours, theirs, strict=True):
        assert mine.parent.name == other.parent.name == SANITIZED
        assert utils.get_file_task_name(mine.name) == utils.get_file_task_name(other.name)
    assert utils.get_file_datetime(ours[0].name).removesuffix(".json") == utils.get_file_datetime(ours[1].name)


@pytest.mark.slow
def test_the_results_have_their_keys_all_the_way_down_to_the_metrics(ours, theirs):
    mine, other = read(ours[0]), read(theirs[0])
    assert set(mine) - NOT_THEIRS == set(other) | {"transformers_version"}  # which the reference leaves out
    for key in ("results", "n-samples", "higher_is_better"):
        assert set(mine[key][TASK]) == set(other[key][TASK]), key
    assert set(mine["config"]) == set(other["config"])
    written = set(other["configs"][TASK]) - {"custom_dataset"}
    assert written <= set(mine["configs"][TASK]) | {"fewshot_config"}


@pytest.mark.slow
def test_the_values_are_theirs(ours, theirs):
    mine, other = read(ours[0]), read(theirs[0])
    assert mine["results"][TASK] == pytest.approx(other["results"][TASK], abs=1e-9)
    same = ["n-shot", "n-samples", "higher_is_better", "group_subtasks", "task_hashes", "model_name", "max_length",
            "model_name_sanitized", "tokenizer_pad_token", "tokenizer_eos_token", "tokenizer_bos_token", "eot_token_id",
            "system_instruction", "system_instruction_sha", "chat_template", "chat_template_sha",
            "fewshot_as_multiturn"]  # fmt: skip
    assert {key: mine[key] for key in same} == {key: other[key] for key in same}
    for key in ("model_num_parameters", "model_dtype", "model_revision", "model_sha"):
        assert mine["config"][key] == other["config"][key]


@pytest.mark.slow
def test_the_samples_are_theirs_line_by_line(ours, theirs):
    for mine, other in zip(lines(ours[1]), lines(theirs[1]), strict=True):
        assert list(mine) == list(other)
        said = {"resps", "filtered_resps"}
        assert {key: mine[key] for key in mine if key not in said} == {
            key: other[key] for key in other if key not in said
        }
        for (number, greedy), (their_number, _) in zip(mine["filtered_resps"], other["filtered_resps"], strict=True):
            assert float(number) == pytest.approx(float(their_number), abs=1e-3)
            assert greedy == "None"
        assert mine["resps"] == [[response] for response in mine["filtered_resps"]]


def test_their_own_readers_read_ours(ours):
    from datasets import load_dataset
    from lm_eval import utils

    names = [f"/{path.parent.name}/{path.name}" for path in ours]
    assert utils.get_results_filenames(names) == names[:1]
    assert utils.get_sample_results_filenames(names) == names[1:]
    results = read(ours[0])
    table = utils.make_table(results)
    assert f"|{TASK}|" in table.replace(" ", "")
    is_blank = results["configs"][TASK]["doc_to_text"] == "answer"  # for which theirs is the score of something else
    assert ("acc_mutual_info" in table) == (not is_blank)
    rows = load_dataset("json", data_files=str(ours[1]), split="train", cache_dir=str(ours[1].parent / "cache"))
    assert len(rows) == 11


def test_no_half_written_file_is_left_behind(ours):
    assert {path.suffix for path in ours[0].parent.iterdir() if path.is_file()} == {".json", ".jsonl"}


# --- alone -----------------------------------------------------------------------------------------------------------


def test_a_score_that_is_no_number_is_never_right():
    row = Prediction(Question("q", "?", ("a", "b"), 0), (math.nan, -1.0), (1, 1), unconditional=(-1.0, -1.0))
    assert lm_eval_files.outcomes(row) == {"acc": 0.0, "acc_norm": 0.0, "acc_bytes": 0.0, "acc_mutual_info": 0.0}


def test_lengths_are_of_what_was_scored():
    asked = Question("q", "?", ("é" * 10, "a" * 9), 0)
    scores = (-9.5, -9.0)
    assert lm_eval_files.outcomes(Prediction(asked, scores, (1, 1))) == {"acc": 0.0, "acc_norm": 1.0, "acc_bytes": 1.0}
    assert lm_eval_files.outcomes(Prediction(asked, scores, (1, 1), letters=True))["acc_norm"] == 0.0


@pytest.mark.parametrize(
    ("split", "splits", "published"),
    [
        ("train", Splits("train", "val", "test"), "train"),
        ("dev", Splits("train", "val", "test"), "val"),
        ("dev", Splits("auxiliary", None, "test"), "auxiliary"),  # dev is cut from it
        ("test", Splits("train", None, "validation"), "validation"),
    ],
)
def test_the_task_is_a_split_of_its_own_data_as_the_publisher_calls_it(measured, split, splits, published):
    theirs = replace(measured.config.data, hub="somebody/set", hub_config="law", splits=splits, limit=5)
    asked = replace(measured, questions=SetConfig("theirs", split, theirs))
    worded = lm_eval_files.task_config(TASK, ["acc"], asked)
    assert (worded["dataset_path"], worded["dataset_name"]) == ("somebody/set", "law")
    assert worded["test_split"] == published


def test_one_question_has_no_standard_error(measured, rows, tmp_path):
    written = read(lm_eval_files.write(tmp_path, {TASK: (rows[:1], measured)})[0])
    assert written["results"][TASK]["acc_stderr,none"] == "N/A"


def test_several_tasks_share_one_file_of_results_as_theirs_do(measured, rows, tmp_path):
    from lm_eval import utils

    other = replace(measured, questions=replace(measured.questions, split="dev"), first_look=(3, 20))
    results, *samples = lm_eval_files.write(tmp_path, {TASK: (rows, measured), "few": (rows[:3], other)})
    assert [utils.get_file_task_name(path.name) for path in samples] == [TASK, "few"]
    together = read(results)
    for key in lm_eval_files.OF_EACH_TASK:
        assert list(together[key]) == [TASK, "few"], key
    assert together["n-samples"]["few"] == {"original": 20, "effective": 3}
    alone = read(lm_eval_files.write(tmp_path / "alone", {TASK: (rows, measured)})[0])
    for key in lm_eval_files.OF_EACH_TASK:
        assert together[key][TASK] == alone[key][TASK], key
    assert "|few" in utils.make_table(together).replace(" ", "")
