"""What the tests of all readers share."""

import pytest

from mcqa.config.errors import DataError

TEXTS = ["Trout", "Whale", "Gecko", "Newt"]


def right(question):
    return question.choices[question.answer]


def refused(read, row, *parts):
    """Check that the reader refuses the row with a message that has these parts."""
    with pytest.raises(DataError) as error:
        read(row)
    for part in parts:
        assert part in str(error.value)
