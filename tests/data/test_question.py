"""A question stays itself under every order of its options."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mcqa.data.question import Question, in_drawn_order, reordered, with_shuffled_choices

ASKED = Question("q", "Which is a mammal?", ("the trout", "the whale", "the eagle"), 1, "A passage.", "biology", "c")


@given(st.permutations(range(3)))
def test_another_order_moves_the_choices_and_keeps_the_right_one(order):
    other = reordered(ASKED, order)
    assert other.choices == tuple(ASKED.choices[i] for i in order)
    assert other.choices[other.answer] == ASKED.choices[ASKED.answer]
    assert reordered(other, [order.index(i) for i in range(3)]) == ASKED


@given(st.lists(st.text(), min_size=2, max_size=12), st.data(), st.integers(0, 2**32 - 1), st.integers(0, 100))
def test_shuffling_never_changes_which_text_is_right_nor_which_texts_there_are(texts, data, seed, epoch):
    question = Question("q", "Which?", tuple(texts), data.draw(st.integers(0, len(texts) - 1)))
    for shuffled in (in_drawn_order(question, seed), with_shuffled_choices(question, seed, epoch)):
        assert shuffled.choices[shuffled.answer] == question.choices[question.answer]
        assert Counter(shuffled.choices) == Counter(question.choices)
        assert (shuffled.id, shuffled.question) == (question.id, question.question)


def test_the_drawn_order_follows_the_seed_and_the_content_and_puts_the_right_one_everywhere():
    questions = [Question(str(n), f"Number {n}?", ("right", "wrong", "wronger"), 0) for n in range(300)]
    places = Counter(in_drawn_order(question, 0).answer for question in questions)
    assert all(70 < places[place] < 130 for place in range(3))
    assert any(in_drawn_order(one, 0) != in_drawn_order(one, 1) for one in questions)
    same = Question("another id", "Number 7?", ("right", "wrong", "wronger"), 0, subject="another subject")
    assert in_drawn_order(same, 0).choices == in_drawn_order(questions[7], 0).choices
