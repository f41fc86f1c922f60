"""OpenBookQA: four choices about elementary science facts; the facts ("the open book") are not given here.

Mihaylov et al. 2018, arXiv:1809.02789. The hub calls the question `question_stem`, the publisher's own files
nest it. Stems such as "An example of" are short and recur with other choices.
"""

from typing import Any

from mcqa.data.question import Question
from mcqa.data.readers import labelled


def read(row: dict[str, Any]) -> Question:
    return labelled.read(row, stem="question_stem")
