"""The installed lm-evaluation-harness says the same of every question and every choice, in fp32 on the CPU.

Real questions and a foreign model take part where MCQA_TEST_DATA and MCQA_TEST_MODELS name their folders.
"""

import copy
import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import pytest

from mcqa.config.schema import PromptConfig
from mcqa.data import facts, splits, tokens
from mcqa.data.loading import load
from mcqa.data.prompts import Shots
from mcqa.data.question import Question
from mcqa.evaluation import lm_eval_files
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.scoring.scorer import score
from mcqa.models import loading
from mcqa.models.from_scratch import END_OF_TEXT
from tests.evaluation.scoring import reference
from tests.small_runs import configured

pytestmark = pytest.mark.slow

MODELS, DATA = os.environ.get("MCQA_TEST_MODELS"), os.environ.get("MCQA_TEST_DATA")
QUESTIONS = 40
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] | trim }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

HARD = [
    Question("accents", "Wie heißt die größte Stadt der Schweiz?", ("Zürich", "Genève", "Bâle", "Łódź"), 0),
    Question("scripts", "鯨は何ですか？", ("哺乳類", "魚", "🐋🐳", "कछुआ"), 0),
    Question("again", "Which is a mammal?", ("the trout", "the whale", "the trout"), 1),
    Question("prefixes", "Which one is it?", ("the", "the whale", "the whale shark", "t"), 2),
    Question("white space", "Which\n\n  line  is it?\t", ("one  two", "one\ttwo", "one\n\ntwo", "one two"), 3),
    Question("punctuation", "2 + 2 =", ("4", "4.0", "…4", "“4”", "'4"), 0),
    Question("letters", "Which letter comes first?", ("B", "A", "D", "C"), 1),
    Question("passage", "What is it?", ("a fish", "a whale"), 1, context="It breathes air.\nIt swims.  It is large."),
    Question("long", "Of all of these, " * 12 + "which one?", ("this one", "that one " * 12, "neither"), 2),
]
"""Questions that are hard for tokens, not for minds; stripped of outer white space as every reader does."""


def prompt(style: str, **changes) -> PromptConfig:
    values = {"instruction": "", "template": None, "answer_template": None}
    values |= {"shots": 0, "shots_draw": "fixed", "shots_seed": 0, "chat_template": False}
    return PromptConfig(style, **(values | changes))


PROMPTS = {
    "cloze": prompt("cloze"),
    "letters": prompt("letters"),
    "instructed": prompt("letters", instruction="The following are questions, with answers.\n"),
    "five_cloze": prompt("cloze", shots=5),
    "five_letters": prompt("letters", shots=5, instruction="Choose well."),
}


# --- models and questions --------------------------------------------------------------------------------------------


@cache
def starter():
    config, _ = configured(["model=starter", "peft=none"])
    tokenizer = loading.load_tokenizer(config.model, [])
    return loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0), tokenizer


@cache
def stories():
    if MODELS is None:
        pytest.skip("MCQA_TEST_MODELS names no folder with real models")
    config, _ = configured(["model=local", f"model.path={MODELS}/stories260k", "peft=none"])
    tokenizer = loading.load_tokenizer(config.model, [])
    return loading.load_model(config.model, config.peft, config.hardware, tokenizer, 0), tokenizer


def beginning(loaded):
    """The same with a tokenizer that puts a token before every text."""
    from tokenizers.processors import TemplateProcessing

    scored, tokenizer = loaded
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.bos_token = END_OF_TEXT
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{END_OF_TEXT} $A", special_tokens=[(END_OF_TEXT, tokenizer.bos_token_id)]
    )
    return scored, tokenizer


def talking(loaded, template=TEMPLATE):
    scored, tokenizer = loaded
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = template
    return scored, tokenizer


@cache
def training_questions() -> list[Question]:
    return splits.subsample(facts.questions("train"), 0, 50)


@cache
def facts_and_hard() -> list[Question]:
    return [*splits.subsample(facts.questions("test"), 0, 15), *HARD]


@cache
def real(name: str) -> list[Question]:
    if DATA is None:
        pytest.skip("MCQA_TEST_DATA names no folder with the real sets")
    config, _ = configured([f"data={name}", f"data.path={DATA}/{name}", "data.bad_rows=skip"])
    (questions,) = load(config.data, ["test"]).splits.values()
    return splits.subsample(questions, 0, QUESTIONS)


# --- both sides ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Both:
    """The same questions by ours and by theirs."""

    ours: list[Prediction]
    theirs: list[dict]
    summary: dict


def by_both(
    loaded, prompts: dict[str, PromptConfig], questions: Sequence[Question], max_length: int | None = None
) -> dict[str, Both]:
    """One run of theirs over all prompts; max_length in tokens stands for a model with a smaller context."""
    scored, tokenizer = loaded
    tasks = []
    ours: dict[str, list[Prediction]] = {}
    for name, one in prompts.items():
        shots = Shots(one, training_questions())
        tasks.append(reference.task(name, one, questions, shots.before(questions[0])))
        with context_of(scored, max_length):
            ours[name] = predicted(scored, tokenizer, one, questions, shots)
    chat = any(one.chat_template for one in prompts.values())
    found = reference.run(scored, tokenizer, tasks, max_length, apply_chat_template=chat, fewshot_as_multiturn=False)
    return {name: Both(ours[name], found["samples"][name], found["results"][name]) for name in prompts}


@contextmanager
def context_of(scored, max_length):
    """The model as if it had been built for texts of max_length tokens."""
    shape = scored.config.get_text_config()
    kept = shape.max_position_embeddings
    shape.max_position_embeddings = max_length or kept
    try:
        yield
    finally:
        shape.max_position_embeddings = kept


def predicted(scored, tokenizer, one, questions, shots) -> list[Prediction]:
    encoded = tokens.encode(tokenizer, one, questions, shots)
    alone = tokens.encode_unconditional(tokenizer, one, questions)
    return [
        Prediction(
            question,
            tuple(scores),
            tuple(len(choice.continuation) for choice in choices),
            one.style == "letters",
            unconditional=tuple(unconditional),
        )
        for question, choices, scores, unconditional in zip(
            questions, encoded, score(scored, encoded, 4096).scores, score(scored, alone, 4096).scores, strict=True
        )
    ]


def assert_same(both: dict[str, Both]) -> None:
    for name, one in both.items():
        for ours, theirs in zip(one.ours, one.theirs, strict=True):
            said = [log_likelihood for log_likelihood, _ in theirs["filtered_resps"]]
            assert [*ours.scores, *ours.unconditional] == pytest.approx(said, abs=1e-3, rel=0), (name, ours.question)
            assert lm_eval_files.outcomes(ours) == {key: theirs[key] for key in reference.METRICS}, (
                name,
                ours.question,
            )
        found = compute_metrics(one.ours)
        for key in ("acc", "acc_norm", "acc_bytes"):
            assert found[key] == pytest.approx(one.summary[f"{key},none"], abs=5e-5), (name, key)
        assert found["acc_stderr_independent"] == pytest.approx(one.summary["acc_stderr,none"], abs=5e-5), name


# --- parity ----------------------------------------------------------------------------------------------------------


def test_the_starter_under_every_style_and_with_shots():
    assert_same(by_both(starter(), PROMPTS, facts_and_hard()))


def test_a_tokenizer_that_begins_every_text_with_a_token_of_its_own():
    assert_same(by_both(beginning(starter()), PROMPTS, facts_and_hard()))


def test_a_sentencepiece_model_under_every_style_and_with_shots():
    assert_same(by_both(stories(), PROMPTS, facts_and_hard()))


@pytest.mark.parametrize("loaded", [starter, stories])
def test_prompts_longer_than_the_model_lose_their_beginning(loaded):
    some = {name: PROMPTS[name] for name in ("cloze", "five_cloze", "five_letters")}
    assert_same(by_both(loaded(), some, facts_and_hard(), max_length=70))


CHAT = {name: prompt(name, chat_template=True, shots=shots) for name, shots in (("cloze", 0), ("letters", 3))}


def test_a_chat_template_that_ends_in_white_space():
    assert_same(by_both(talking(starter()), CHAT, facts_and_hard()))


@pytest.mark.parametrize("start", ["", "{{ bos_token }}"], ids=["without", "with"])
def test_a_chat_template_with_and_without_the_token_that_begins_texts(start):
    assert_same(by_both(talking(stories(), start + TEMPLATE), CHAT, facts_and_hard()))


@pytest.mark.parametrize("name", ["arc_easy", "openbookqa", "mmlu", "commonsenseqa"])
def test_real_questions(name):
    some = {style: PROMPTS[style] for style in ("cloze", "letters")}
    assert_same(by_both(stories() if MODELS else starter(), some, real(name)))
