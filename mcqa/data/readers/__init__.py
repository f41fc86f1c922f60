"""Read a row of each published question set, or of the user's own, as a Question."""

from collections.abc import Callable
from functools import partial
from typing import Any

from mcqa.data.question import Question
from mcqa.data.readers.labelled import read_labelled
from mcqa.data.readers.mmlu import read_mmlu

Reader = Callable[[dict[str, Any]], Question]

READERS: dict[str, Reader] = {
    "arc": read_labelled,
    "openbookqa": partial(read_labelled, stem="question_stem"),
    "commonsenseqa": read_labelled,
    "mmlu": read_mmlu,
}
"""Readers that need only a row. `local` needs its columns too (columns.py), and `facts` has no rows."""
