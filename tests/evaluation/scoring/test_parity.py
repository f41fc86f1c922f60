"""The installed lm-evaluation-harness says the same of every question and every choice, in fp32 on the CPU.

Real questions and a foreign model take part where MCQA_TEST_DATA and MCQA_TEST_MODELS name their folders.
"""

import copy
import os
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache

import pytest

from mcqa.config.schema import PromptConfig
from mcqa.data import facts, splits, tokens
from mcqa.data.loading import load
from mcqa.data.prompts import Shots, requests, texts
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
    Question("around", " Which line\nis it? \n", ("one ", " one", "  two", "two\n\n"), 1),
    Question("after context", "What is it?  ", ("\ta fish", "a whale "), 1, context=" It breathes air. \n"),
    Question("right twice", "Which is a fish?", ("the whale", "the trout", "the trout"), 2),
    Question("punctuation", "2 + 2 =", ("4", "4.0", "…4", "“4”", "'4"), 0),
    Question("letters", "Which letter comes first?", ("B", "A", "D", "C"), 1),
    Question("passage", "What is it?", ("a fish", "a whale"), 1, context="It breathes air.\nIt swims.  It is large."),
    Question("long", "Of all of these, " * 12 + "which one?", ("this one", "that one " * 12, "neither"), 2),
]
"""Questions that are hard for tokens, not for minds."""


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
OTHER_STYLES = {
    "letters_with_text": prompt("letters_with_text"),
    "two_letters_with_text": prompt("letters_with_text", shots=2, instruction="Choose well."),
    "plain": prompt("plain"),
    "two_plain": prompt("plain", shots=2),
    "continuation": prompt("continuation", instruction="Go on."),
    "two_continuation": prompt("continuation", shots=2),
}
BLANK = {"blank": prompt("blank"), "two_blank": prompt("blank", shots=2, instruction="Fill in.")}


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
    config, _ = configured([f"data={name}", f"data.path={DATA}/{name}"])
    (questions,) = load(config.data, ["test"]).splits.values()
    return splits.subsample(questions, 0, QUESTIONS)


# --- both sides ------------------------------------------------------------------------------------------------------


def with_blank(one: PromptConfig, question: Question) -> Question:
    """The question as a sentence with a blank, where the prompt needs one."""
    if one.style != "blank":
        return question
    return replace(question, question=f"{question.question.replace('_', '-')} It is _, as  everybody knows. ")


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
        shots = Shots(one, [with_blank(one, question) for question in training_questions()])
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
            measured_texts=() if one.style in ("cloze", "letters") else tuple(texts(one, question)),
        )
        for question, choices, scores, unconditional in zip(
            questions, encoded, score(scored, encoded, 4096).scores, score(scored, alone, 4096).scores, strict=True
        )
    ]


def assert_same(both: dict[str, Both], metrics: Sequence[str] = reference.METRICS) -> None:
    for name, one in both.items():
        for ours, theirs in zip(one.ours, one.theirs, strict=True):
            said = [log_likelihood for log_likelihood, _ in theirs["filtered_resps"]]
            scores = [*ours.scores, *(ours.unconditional if "acc_mutual_info" in metrics else ())]
            assert scores == pytest.approx(said[: len(scores)], abs=1e-3, rel=0), (name, ours.question)
            outcomes = lm_eval_files.outcomes(ours)
            assert {key: outcomes[key] for key in metrics} == {key: theirs[key] for key in metrics}, (
                name,
                ours.question,
            )
        if not one.summary:
            continue
        found = compute_metrics(one.ours)
        for key in ("acc", "acc_norm", "acc_bytes"):
            assert found[key] == pytest.approx(one.summary[f"{key},none"], abs=5e-5), (name, key)
        assert found["acc_stderr_independent"] == pytest.approx(one.summary["acc_stderr,none"], abs=5e-5), name


# --- parity ----------------------------------------------------------------------------------------------------------


def test_the_starter_under_every_style_and_with_shots():
    assert_same(by_both(starter(), PROMPTS, facts_and_hard()))


@pytest.mark.parametrize("loaded", [starter, stories])
def test_styles_without_labels_and_with_letter_and_text(loaded):
    assert_same(by_both(loaded(), OTHER_STYLES, facts_and_hard()[12:]))


@pytest.mark.parametrize("loaded", [starter, stories])
def test_a_blank_is_filled_and_the_rest_of_the_sentence_is_scored(loaded):
    """Theirs has for acc_mutual_info the choices with what stands before them, which says nothing of the rest."""
    some = [with_blank(BLANK["blank"], question) for question in facts_and_hard()[12:]]
    assert_same(by_both(loaded(), BLANK, some), ("acc", "acc_norm", "acc_bytes"))
    assert_same(by_both(loaded(), BLANK, some[:-1], max_length=70), ("acc", "acc_norm", "acc_bytes"))


def test_a_tokenizer_that_begins_every_text_with_a_token_of_its_own():
    assert_same(by_both(beginning(starter()), PROMPTS, facts_and_hard()))


def test_a_sentencepiece_model_under_every_style_and_with_shots():
    assert_same(by_both(stories(), PROMPTS, facts_and_hard()))


@pytest.mark.parametrize("loaded", [starter, stories])
def test_prompts_longer_than_the_model_lose_their_beginning(loaded):
    some = {name: PROMPTS[name] for name in ("cloze", "five_cloze", "five_letters")}
    assert_same(by_both(loaded(), some, facts_and_hard(), max_length=70))


# --- their own tasks, on rows of the publishers' format --------------------------------------------------------------

HELLASWAG = [
    {
        "activity_label": label, "ctx_a": before, "ctx_b": after, "endings": endings, "label": label_of_right,
    }
    for label, before, after, endings, label_of_right in [
        ("Removing ice from car", "Then, the man writes over the snow covering the window of a car.", "then",
         [", the man adds wax to it.", ", a person board a ski lift.", " he gets out.", "the man stops."], "3"),
        ("Family Life", "[header] How to raise a cat [title] Be kind. [step] Cats  know.", "",
         ["Feed [substeps] it well.", "Leave it. [title] Go.", "Sell it.", "Wash  it daily."], "0"),
        ("Sumo", "A large man stands. he", "pushes another man", ["out.", "up into the air.", "é 🐋", "."], "1"),
    ]
]  # fmt: skip
WINOGRANDE = [
    {"sentence": sentence, "option1": one, "option2": other, "answer": answer}
    for sentence, one, other, answer in [
        ("Sarah was a much better surgeon than Maria so _ always got the easier cases.", "Sarah", "Maria", "2"),
        ("The trophy doesn't fit into the suitcase because the _ is too large.", "trophy", "suitcase", "1"),
        ("_ was late, Łukasz was not.", "Ann", "Ann Marie", "1"),
        ("They called it the _.", "whale", "trout", "2"),
    ]
]
PIQA = [
    {"goal": goal, "sol1": one, "sol2": other, "label": label}
    for goal, one, other, label in [
        ("When boiling butter, when it's ready, you can", "Pour it onto a plate", "Pour it into a jar", 1),
        (" how do you cut a whale? ", "with  a knife ", " carefully", 0),
        ("To permanently attach metal legs to a chair, you can", "Weld them\ntogether", "Nail them together.", 0),
    ]
]


def their_hellaswag():
    from lm_eval.tasks.hellaswag import utils

    docs = utils.process_docs(dataset_of(HELLASWAG)).to_list()
    asked = [Question(str(n), doc["query"], tuple(doc["choices"]), doc["gold"]) for n, doc in enumerate(docs)]
    return {"doc_to_text": "{{query}}", "doc_to_target": "{{label}}", "doc_to_choice": "choices"}, docs, asked


def their_winogrande():
    from lm_eval.tasks.winogrande import preprocess_winogrande as their

    task = {
        "doc_to_text": their.doc_to_text,
        "doc_to_target": their.doc_to_target,
        "doc_to_choice": their.doc_to_choice,
    }
    asked = [
        Question(str(n), doc["sentence"], (doc["option1"], doc["option2"]), int(doc["answer"]) - 1)
        for n, doc in enumerate(WINOGRANDE)
    ]
    return task, WINOGRANDE, asked


def their_piqa():
    task = {"doc_to_text": "Question: {{goal}}\nAnswer:", "doc_to_target": "label", "doc_to_choice": "{{[sol1, sol2]}}"}
    asked = [Question(str(n), doc["goal"], (doc["sol1"], doc["sol2"]), doc["label"]) for n, doc in enumerate(PIQA)]
    return task, PIQA, asked


def dataset_of(rows):
    from datasets import Dataset

    return Dataset.from_list(rows)


@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize("chat", [False, True], ids=["as text", "chat template"])
@pytest.mark.parametrize(
    ("theirs", "style"), [(their_hellaswag, "continuation"), (their_winogrande, "blank"), (their_piqa, "cloze")]
)
def test_their_own_tasks_have_the_same_requests_and_scores(theirs, style, shots, chat):
    task, docs, asked = theirs()
    one = prompt(style, shots=shots, chat_template=chat)
    pool = Shots(one, asked[-1:])
    scored, tokenizer = talking(starter()) if chat else starter()
    task |= {
        "task": style, "custom_dataset": lambda **_: {"test": dataset_of(docs)}, "test_split": "test",
        "output_type": "multiple_choice", "num_fewshot": shots,
        "fewshot_config": {"sampler": "first_n", "samples": docs[-1:]},
        "metric_list": [{"metric": name} for name in ("acc", "acc_norm")],
    }  # fmt: skip
    few = asked[: len(asked) - shots]  # a question is never its own shot
    found = reference.run(scored, tokenizer, [task], None, apply_chat_template=chat, fewshot_as_multiturn=False)
    samples = found["samples"][style][: len(few)]
    assert [list(map(tuple, sample["arguments"])) for sample in samples] == [
        requests(tokenizer, one, question, pool) for question in few
    ]
    assert_same({style: Both(predicted(scored, tokenizer, one, few, pool), samples, {})}, ("acc", "acc_norm"))


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
