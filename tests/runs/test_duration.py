import pytest

from mcqa.runs.duration import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (12.2, "12 s"), (59.6, "1 min"), (65, "1 min 5 s"), (3599.7, "1 h"), (8000, "2 h 13 min"),
        (7199, "2 h"), (90000, "1 d 1 h"), (7 * 86400, "7 d"),
    ],
)  # fmt: skip
def test_a_duration_has_its_largest_unit_and_the_next_smaller_one(seconds: float, text: str) -> None:
    assert duration(seconds) == text
