"""Rows in the formats of the published sets, on the hub and in their publishers' files; the questions are invented."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from mcqa.config.composition import compose
from mcqa.config.schema import DataConfig, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.data.question import Question

MAMMAL = "Which of these is a mammal?"
ANIMALS = ("Trout", "Whale", "Gecko", "Newt")
POND = "A heron stands in a pond. It waits."

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class Shape:
    """A row of a set and where its parts are: keys from the outermost inwards; none where a set has no such part.

    file: of the rows, where it is not that of data.splits.test. overrides: keys of data that this shape needs.
    """

    set: str
    name: str
    row: dict[str, Any]
    expected: Question
    question: Keys
    answer: Keys
    choices: Keys | tuple[Keys, ...]  # the list or mapping of the choices, or each of them
    overrides: tuple[str, ...] = ()
    malformed: dict[str, dict[str, Any]] = field(default_factory=dict)  # and how else this one can be

    @property
    def id(self) -> str:
        return f"{self.set}, {self.name}"


def changed(row: dict[str, Any], keys: Keys, value: Any) -> dict[str, Any]:
    """The row with another value at the keys."""
    row = deepcopy(row)
    *outer, last = keys
    at: Any = row
    for key in outer:
        at = at[key]
    at[last] = value
    return row


def without(row: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """The row without what is at the keys."""
    row = deepcopy(row)
    *outer, last = keys
    at: Any = row
    for key in outer:
        at = at[key]
    del at[last]
    return row


def at(row: dict[str, Any], keys: Keys) -> Any:
    found: Any = row
    for key in keys:
        found = found[key]
    return found


@cache
def data_config(name: str, overrides: tuple[str, ...] = ()) -> DataConfig:
    """The configuration of a set, which may have no questions to train on."""
    return typed(compose("evaluate", [f"data={name}", *overrides]), EvaluateConfig).data


def asks(question: str = MAMMAL, choices: tuple[str, ...] = ANIMALS, answer: int = 1, **parts: str) -> Question:
    return Question(parts.pop("id", ""), question, choices, answer, **parts)


def columns(names: tuple[str, ...], choices: tuple[str, ...] = ANIMALS) -> dict[str, str]:
    return dict(zip(names, choices, strict=True))


def each(*names: str) -> tuple[Keys, ...]:
    return tuple((name,) for name in names)


EIGHT = (*ANIMALS, "Frog", "Perch", "Toad", "Ant")
LABELLED = {"text": list(EIGHT), "label": list("ABCDEFGH")}
OPTIONS_OF_MEDCMQA = ("opa", "opb", "opc", "opd")
DISTRACTORS = ("correct_answer", "distractor1", "distractor2", "distractor3")
SCIQ = ("Whale", "Trout", "Gecko", "Newt")
GPQA = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
PROBLEM = {"question": "The heron    _  .", "options": ["swims", "waits", "sings", "flies"], "answer": "B"}
LAST_PROBLEM = {"question": "Where is the bird?", "options": ["a tree", "a pond", "a nest", "a boat"], "answer": "B"}
RACE = asks("Where is the bird?", ("a tree", "a pond", "a nest", "a boat"), context=POND, subject="high")
ENDINGS = ["catches a fish.", "[substeps] reads a book.", "melts.", "[title] drives off."]
HELLASWAG = asks(
    "Watching birds: A heron stands in a pond. It waits. Then it",
    ("catches a fish.", " reads a book.", "melts.", " drives off."),
    0,
    subject="indomain",
    cluster="video~1",
)
PUBMED = asks(
    "Do herons eat fish?",
    ("yes", "no", "maybe"),
    0,
    context="Herons live at ponds.\nEight of ten had eaten fish.",
    id="7",
)
ABSTRACT = ["Herons live at ponds.", "Eight of ten had eaten fish."]
SENTENCE = "The heron did not catch the fish because the _ was too slow."
WINO = asks(SENTENCE, ("heron", "fish"), 0)
LETTERS = "Which is a mammal?\nOptions:\n(A) Trout\n(B) Whale\n(C) Gecko"
LISTED = "Is a whale a mammal?\nOptions:\n- Yes\n- No"
TRUE = ("Whales are mammals.", "Whales are fish.", "Whales are birds.")
CODAH_PROMPT = "The heron saw a fish. It"
CODAH = ("flew a kite.", "caught it.", "wrote a letter.", "became a stone.")


def shape_of_columns(
    set: str, name: str, row: dict[str, Any], expected: Question, parts: tuple[str, str], choices: Any, **more: Any
) -> Shape:
    question, answer = parts
    return Shape(set, name, row, expected, (question,), (answer,), choices, **more)


SHAPES = [
    shape_of_columns(
        "mmlu_pro",
        "hub",
        {
            "question_id": 70,
            "question": MAMMAL,
            "options": [*ANIMALS, "Frog", "Perch", "Toad", "Ant", "Bee", "Crab"],
            "answer": "B",
            "answer_index": 1,
            "cot_content": "",
            "category": "biology",
            "src": "invented",
        },
        asks(choices=(*EIGHT, "Bee", "Crab"), subject="biology", id="70"),
        ("question", "answer"),
        ("options",),
    ),
    shape_of_columns(
        "medmcqa",
        "hub",
        {
            "id": "a-b",
            "question": MAMMAL,
            **columns(OPTIONS_OF_MEDCMQA),
            "cop": 1,
            "choice_type": "single",
            "exp": None,
            "subject_name": "Anatomy",
            "topic_name": None,
        },
        asks(subject="Anatomy", id="a-b"),
        ("question", "cop"),
        each(*OPTIONS_OF_MEDCMQA),
    ),
    shape_of_columns(
        "medmcqa",
        "publisher",
        {"id": "a-b", "question": MAMMAL, **columns(OPTIONS_OF_MEDCMQA), "cop": 2, "subject_name": "Anatomy"},
        asks(subject="Anatomy", id="a-b"),
        ("question", "cop"),
        each(*OPTIONS_OF_MEDCMQA),
        overrides=("data.columns.answer_as=index_from_one", "data.splits.test=dev"),
    ),
    shape_of_columns(
        "medqa",
        "hub",
        {
            "id": "test-00000",
            "sent1": MAMMAL,
            "sent2": "",
            **columns(("ending0", "ending1", "ending2", "ending3")),
            "label": 1,
        },
        asks(id="test-00000"),
        ("sent1", "label"),
        each("ending0", "ending1", "ending2", "ending3"),
    ),
    shape_of_columns(
        "medqa",
        "publisher",
        {
            "question": MAMMAL,
            "answer": "Whale",
            "options": dict(zip("ABCDE", (*ANIMALS, "Frog"), strict=True)),
            "meta_info": "step1",
            "answer_idx": "B",
        },
        asks(choices=(*ANIMALS, "Frog")),
        ("question", "answer_idx"),
        ("options",),
    ),
    Shape(
        "pubmedqa",
        "hub",
        {
            "pubid": 7,
            "question": "Do herons eat fish?",
            "context": {"contexts": ABSTRACT, "labels": ["BACKGROUND", "RESULTS"], "meshes": []},
            "long_answer": "They do.",
            "final_decision": "yes",
        },
        PUBMED,
        ("question",),
        ("final_decision",),
        (),
        malformed={"contexts are a text": {"question": "Do they?", "context": "One.", "final_decision": "yes"}},
    ),
    Shape(
        "pubmedqa",
        "publisher's rows",
        {"QUESTION": "Do herons eat fish?", "CONTEXTS": ABSTRACT, "LABELS": [], "final_decision": "yes", "pubid": "7"},
        PUBMED,
        ("QUESTION",),
        ("final_decision",),
        (),
        malformed={"contexts are absent": {"QUESTION": "Do they?", "final_decision": "yes"}},
    ),
    Shape(
        "pubmedqa",
        "publisher's file",
        {"7": {"QUESTION": "Do herons eat fish?", "CONTEXTS": ABSTRACT, "final_decision": "yes"}},
        PUBMED,
        ("7", "QUESTION"),
        ("7", "final_decision"),
        (),
        overrides=("data.splits.test=test_set",),
        malformed={"contexts are numbers": {"7": {"QUESTION": "q", "CONTEXTS": [1], "final_decision": "yes"}}},
    ),
    shape_of_columns(
        "sciq",
        "hub and publisher",
        {"question": MAMMAL, **columns(DISTRACTORS, SCIQ), "support": "A whale gives milk."},
        asks(choices=SCIQ, answer=0, context="A whale gives milk."),
        ("question", "correct_answer"),
        each(*DISTRACTORS[1:]),
    ),
    shape_of_columns(
        "qasc",
        "hub",
        {"id": "Q1", "question": MAMMAL, "choices": LABELLED, "answerKey": "B", "fact1": "…", "combinedfact": "…"},
        asks(choices=EIGHT, id="Q1"),
        ("question", "answerKey"),
        ("choices", "text"),
    ),
    Shape(
        "qasc",
        "publisher",
        {
            "id": "Q1",
            "question": {
                "stem": MAMMAL,
                "choices": [{"text": text, "label": label} for text, label in zip(EIGHT, "ABCDEFGH", strict=True)],
            },
            "answerKey": "B",
        },
        asks(choices=EIGHT, id="Q1"),
        ("question", "stem"),
        ("answerKey",),
        tuple(("question", "choices", n, "text") for n in range(8)),
        overrides=("data.splits.test=dev",),
    ),
    shape_of_columns(
        "race",
        "hub",
        {"example_id": "high7.txt", "article": POND, **LAST_PROBLEM},
        RACE,
        ("question", "answer"),
        ("options",),
        malformed={"the article is absent": LAST_PROBLEM, "the article is a list": {"article": [POND], **LAST_PROBLEM}},
    ),
    Shape(
        "race",
        "publisher",
        {
            "id": "high7.txt",
            "article": POND,
            "questions": ["Where is the bird?"],
            "options": [LAST_PROBLEM["options"]],
            "answers": ["B"],
        },
        RACE,
        ("questions", 0),
        ("answers", 0),
        ("options", 0),
        malformed={
            "more questions than answers": {
                "article": POND,
                "questions": ["Where?", "Why?"],
                "options": [["a", "b"]] * 2,
                "answers": ["A"],
            },
            "there are no questions": {"article": POND, "questions": [], "options": [], "answers": []},
            "the questions are a text": {
                "article": POND,
                "questions": "Why?",
                "options": [["a", "b"]],
                "answers": ["A"],
            },
        },
    ),
    Shape(
        "race",
        "harness",
        {"article": POND, "problems": [PROBLEM, LAST_PROBLEM]},
        replace(RACE, question="The heron   waits\nWhere is the bird?", subject=""),
        ("problems", 1, "question"),
        ("problems", 1, "answer"),
        ("problems", 1, "options"),
        malformed={
            "problems are no list": {"article": POND, "problems": "['"},
            "problems are numbers": {"article": POND, "problems": "[1]"},
            "there is no problem": {"article": POND, "problems": "[]"},
        },
    ),
    shape_of_columns(
        "aqua_rat",
        "hub and publisher",
        {
            "question": "A heron eats 2 fish an hour. How many in 4 hours?",
            "options": ["A)2", "B)4", "C)8", "D)8.5", "E)16"],
            "rationale": "2 * 4 = 8",
            "correct": "C",
        },
        asks("A heron eats 2 fish an hour. How many in 4 hours?", ("2", "4", "8", "8.5", "16"), 2),
        ("question", "correct"),
        ("options",),
        malformed={
            "options without letters": {"question": "q", "options": ["2", "4"], "correct": "A"},
            "options with letters in another order": {"question": "q", "options": ["B)2", "A)4"], "correct": "A"},
        },
    ),
    Shape(
        "hellaswag",
        "hub",
        {
            "ind": 4,
            "activity_label": "Watching birds",
            "ctx_a": "A heron stands [header] in a pond. It waits.",
            "ctx_b": "then it",
            "ctx": "",
            "endings": ENDINGS,
            "source_id": "video~1",
            "split": "val",
            "split_type": "indomain",
            "label": "0",
        },
        replace(HELLASWAG, choices=("catches a fish.", " reads a book.", "melts.", " drives off.")),
        ("activity_label",),
        ("label",),
        ("endings",),
        malformed={
            "the context is empty": {
                "activity_label": "a",
                "ctx_a": " ",
                "ctx_b": "",
                "endings": ENDINGS,
                "label": "0",
            },
            "no activity": {"ctx_a": "a", "ctx_b": "", "endings": ENDINGS, "label": "0"},
            "an ending is only a heading": {
                "activity_label": "a",
                "ctx_a": "b",
                "ctx_b": "",
                "endings": ["[step]", "c"],
                "label": "1",
            },
        },
    ),
    shape_of_columns(
        "piqa",
        "hub",
        {"goal": "To cool soup", "sol1": "blow on it", "sol2": "boil it", "label": 0},
        asks("To cool soup", ("blow on it", "boil it"), 0),
        ("goal", "label"),
        each("sol1", "sol2"),
    ),
    shape_of_columns(
        "siqa",
        "hub",
        {
            "context": "Robin watched a heron.",
            "question": "Why did Robin do this?",
            "answerA": "to sleep",
            "answerB": "to learn",
            "answerC": "to eat",
            "label": "2\n",
        },
        asks("Why did Robin do this?", ("to sleep", "to learn", "to eat"), 1, context="Robin watched a heron."),
        ("question", "label"),
        each("answerA", "answerB", "answerC"),
    ),
    shape_of_columns(
        "winogrande",
        "hub",
        {"sentence": SENTENCE, "option1": "heron", "option2": "fish", "answer": "1"},
        WINO,
        ("sentence", "answer"),
        each("option1", "option2"),
        malformed={
            "no blank": {"sentence": "It was slow.", "option1": "heron", "option2": "fish", "answer": "1"},
            "two blanks": {"sentence": "The _ was _.", "option1": "heron", "option2": "fish", "answer": "1"},
        },
    ),
    shape_of_columns(
        "winogrande",
        "publisher",
        {"qID": "X-1", "sentence": SENTENCE, "option1": "heron", "option2": "fish", "answer": "1"},
        WINO,
        ("sentence", "answer"),
        each("option1", "option2"),
        overrides=("data.splits.train=train_xl", "data.splits.test=dev"),
    ),
    shape_of_columns(
        "truthfulqa",
        "hub",
        {
            "question": "What are whales?",
            "mc1_targets": {"choices": list(TRUE), "labels": [1, 0, 0]},
            "mc2_targets": {"choices": list(TRUE), "labels": [1, 0, 0]},
        },
        asks("What are whales?", TRUE, 0),
        ("question", "mc1_targets"),
        ("mc1_targets", "choices"),
        malformed={
            "two are true": {"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 1]}},
            "none is true": {"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [0, 0]}},
            "labels are fewer": {"question": "q", "mc1_targets": {"choices": ["a", "b"], "labels": [1]}},
        },
    ),
    Shape(
        "truthfulqa",
        "publisher",
        {"question": "What are whales?", "mc1_targets": dict(zip(TRUE, (1, 0, 0), strict=True)), "mc2_targets": {}},
        asks("What are whales?", TRUE, 0),
        ("question",),
        ("mc1_targets",),
        (),
        malformed={
            "two are true": {"question": "q", "mc1_targets": {"a": 1, "b": 1}},
            "one choice": {"question": "q", "mc1_targets": {"a": 1}},
            "a label is text": {"question": "q", "mc1_targets": {"a": "true", "b": 0}},
        },
    ),
    shape_of_columns(
        "logiqa",
        "hub",
        {"context": POND, "query": MAMMAL, "options": list(ANIMALS), "correct_option": 1},
        asks(context=POND),
        ("query", "correct_option"),
        ("options",),
    ),
    shape_of_columns(
        "logiqa",
        "harness",
        {"label": "b", "context": POND, "question": MAMMAL, "options": list(ANIMALS)},
        asks(context=POND),
        ("question", "label"),
        ("options",),
    ),
    shape_of_columns(
        "cosmosqa",
        "hub and publisher",
        {
            "id": "1##2",
            "context": POND,
            "question": MAMMAL,
            **columns(("answer0", "answer1", "answer2", "answer3")),
            "label": 1,
        },
        asks(context=POND, id="1##2"),
        ("question", "label"),
        each("answer0", "answer1", "answer2", "answer3"),
    ),
    shape_of_columns(
        "codah",
        "hub",
        {
            "id": 0,
            "question_category": 5,
            "question_propmt": CODAH_PROMPT,
            "candidate_answers": list(CODAH),
            "correct_answer_idx": 1,
        },
        asks(CODAH_PROMPT, CODAH),
        ("question_propmt", "correct_answer_idx"),
        ("candidate_answers",),
    ),
    shape_of_columns(
        "boolq",
        "hub and publisher",
        {"question": "do herons eat fish", "passage": POND, "answer": True, "title": "Heron"},
        asks("do herons eat fish", ("no", "yes"), context=POND),
        ("question", "answer"),
        (),
    ),
    shape_of_columns(
        "boolq",
        "SuperGLUE",
        {"question": "do herons eat fish", "passage": POND, "idx": 0, "label": 1},
        asks("do herons eat fish", ("no", "yes"), context=POND),
        ("question", "label"),
        (),
        overrides=("data.columns.answer=label", "data.columns.answer_as=index"),
    ),
    shape_of_columns(
        "gpqa",
        "hub and publisher",
        {
            "Record ID": "rec1",
            "Question": MAMMAL,
            **columns(GPQA, SCIQ),
            "High-level domain": "Biology",
            "Subdomain": "Zoology",
        },
        asks(choices=SCIQ, answer=0, subject="Biology", id="rec1"),
        ("Question", "Correct Answer"),
        each(*GPQA[1:]),
    ),
    Shape(
        "bbh",
        "hub",
        {"input": LETTERS, "target": "(B)"},
        asks("Which is a mammal?", ("Trout", "Whale", "Gecko")),
        ("input",),
        ("target",),
        (),
        malformed={
            "no options": {"input": "not ( True ) is", "target": "False"},
            "one option": {"input": "Which?\nOptions:\n(A) Trout", "target": "(A)"},
            "labels in another order": {"input": "Which?\nOptions:\n(B) Trout\n(A) Whale", "target": "(A)"},
            "a line without a label": {"input": "Which?\nOptions:\n(A) Trout\nWhale", "target": "(A)"},
            "an empty option": {"input": "Which?\nOptions:\n(A) Trout\n(B)  ", "target": "(A)"},
            "the question is empty": {"input": "\nOptions:\n(A) Trout\n(B) Whale", "target": "(A)"},
            "the target is the text": {"input": LETTERS, "target": "Whale"},
            "the target has no brackets": {"input": LETTERS, "target": "B"},
        },
    ),
    Shape(
        "bbh",
        "listed",
        {"input": LISTED, "target": "Yes"},
        asks("Is a whale a mammal?", ("Yes", "No"), 0),
        ("input",),
        ("target",),
        (),
        malformed={"the target is a letter": {"input": LISTED, "target": "(A)"}},
    ),
    Shape(
        "bbh",
        "publisher",
        {"canary": "…", "examples": [{"input": LETTERS, "target": "(B)"}]},
        asks("Which is a mammal?", ("Trout", "Whale", "Gecko")),
        ("examples", 0, "input"),
        ("examples", 0, "target"),
        (),
        malformed={
            "examples are a mapping": {"examples": {"input": LETTERS, "target": "(B)"}},
            "examples are texts": {"examples": [LETTERS]},
            "there are no examples": {"examples": []},
        },
    ),
]
