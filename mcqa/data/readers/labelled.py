"""Questions whose choices carry labels: ARC, OpenBookQA, CommonsenseQA and QASC."""

from typing import Any

from mcqa.config.errors import DataError
from mcqa.data.checks import describe_value, field, validated_question
from mcqa.data.question import Question
from mcqa.data.readers.answers import from_label


def read_labelled(row: dict[str, Any], stem: str = "question") -> Question:
    """Return a row whose choices carry labels and whose answer is one of the labels.

    stem: the key of the question's text in the hub's shape. The same row exists in two shapes, as on the hub and as in
    the files of the Allen Institute:

        {"question": "…", "choices": {"label": ["A", …], "text": ["…", …]}, "answerKey": "B"}
        {"question": {"stem": "…", "choices": [{"label": "A", "text": "…"}, …]}, "answerKey": "B"}

    ARC, the AI2 Reasoning Challenge (Clark et al. 2018, arXiv:1803.05457): grade-school science, an easy and a
        challenge set. Most questions have four choices, some three or five. Labels are letters or digits, as on the
        exam that a question comes from: "2" is the second choice only because its label says so.
    OpenBookQA (Mihaylov et al. 2018, arXiv:1809.02789): four choices about elementary science facts; the facts ("the
        open book") are not given here. The hub calls the question `question_stem`. Stems such as "An example of" are
        short and occur again with other choices.
    CommonsenseQA (Talmor et al. 2019, arXiv:1811.00937): five choices that stand in the same relation to one concept,
        which is not part of the question. The test split has no answers. In one question of eighty, two choices are
        equal.
    QASC (Khot et al. 2020, arXiv:1910.11473): eight choices about science; two facts together answer a question, which
        are not given here. The test split has no answers.
    """
    nested = row.get("question")
    question = nested if isinstance(nested, dict) else row
    labels, texts = labels_and_texts(field(question, "choices"))
    return validated_question(
        id=row.get("id"),
        question=field(question, "stem" if question is nested else stem),
        choices=texts,
        answer=from_label(row.get("answerKey"), labels),
    )


def labels_and_texts(choices: Any) -> tuple[list[str], list[Any]]:
    """Return the labels and the texts of choices in either shape.

    Raises:
        DataError: they have another shape, or the labels are not texts.
    """
    if isinstance(choices, list) and all(isinstance(choice, dict) for choice in choices):
        labels = [field(choice, "label") for choice in choices]
        texts = [field(choice, "text") for choice in choices]
    elif isinstance(choices, dict):
        labels, texts = field(choices, "label"), field(choices, "text")
    else:
        raise DataError(f"choices are {describe_value(choices)}, not labels with texts.")
    if not isinstance(labels, list) or not isinstance(texts, list) or len(labels) != len(texts):
        raise DataError(f"the labels {labels} and the texts {texts} do not match one to one.")
    if wrong := [label for label in labels if not isinstance(label, str)]:
        raise DataError(f"label {wrong[0]!r} is not text.")
    return labels, texts
