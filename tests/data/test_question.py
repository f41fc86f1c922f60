"""A question stays itself under every order of its options."""

from hypothesis import given
from hypothesis import strategies as st

from mcqa.data.question import Question, reordered

ASKED = Question("q", "Which is a mammal?", ("the trout", "the whale", "the eagle"), 1, "A passage.", "biology", "c")


@given(st.permutations(range(3)))
def test_another_order_moves_the_choices_and_keeps_the_right_one(order):
    other = reordered(ASKED, order)
    assert other.choices == tuple(ASKED.choices[i] for i in order)
    assert other.choices[other.answer] == ASKED.choices[ASKED.answer]
    assert reordered(other, [order.index(i) for i in range(3)]) == ASKED
