"""What stands before a question depends on the question and the seed, and is put together as the field does it."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.config.errors import DataError, ModelError
from mcqa.config.schema import PromptConfig, SetPrompt
from mcqa.data.prompts import Shots, answers, apply_chat_template, context, continuations, end_of_turn, requests, texts
from mcqa.data.question import Question, reordered
from mcqa.models.from_scratch import new_tokenizer


def prompt(style="cloze", **changes):
    values = {"instruction": "", "template": None, "answer_template": None}
    values |= {"shots": 0, "shots_draw": "fixed", "shots_seed": 0, "chat_template": False}
    return PromptConfig(style, **(values | changes))


def question(**changes):
    values = {"id": "q", "question": "Which is a mammal?", "choices": ("the trout", "the whale"), "answer": 1}
    return Question(**(values | changes))


CLOZE, LETTERS = prompt("cloze"), prompt("letters")
POOL = [question(id=str(n), question=f"What is {n}?", choices=(f"{n}", f"{n + 1}"), answer=n % 2) for n in range(20)]
draws = st.sampled_from(["fixed", "per_question"])


# --- one question ----------------------------------------------------------------------------------------------------


def test_a_cloze_asks_the_question_alone():
    assert context(CLOZE, question()) == "Question: Which is a mammal?\nAnswer:"
    assert continuations(CLOZE, question()) == [" the trout", " the whale"]


def test_letters_list_the_choices_and_score_the_letter():
    assert context(LETTERS, question()) == "Question: Which is a mammal?\nA. the trout\nB. the whale\nAnswer:"
    assert continuations(LETTERS, question()) == [" A", " B"]


def test_instruction_and_passage_stand_before_the_question_with_the_white_space_that_the_harness_keeps():
    spaced = question(context=" Trouts are fish.\n", question=" Which?\n")
    told = context(prompt(instruction="Choose well."), spaced)
    assert told == "Choose well.\n\n Trouts are fish.\n\nQuestion:  Which?\n\nAnswer:"
    assert context(LETTERS, spaced).startswith("Trouts are fish.\nQuestion: Which?\nA. ")


def test_retrieved_passages_stand_before_that_of_the_question_the_best_one_last():
    asked = question(retrieved=("Best.", "Second."), context="Own.")
    assert context(CLOZE, asked) == "Second.\nBest.\nOwn.\nQuestion: Which is a mammal?\nAnswer:"
    assert context(LETTERS, asked).startswith("Second.\nBest.\nOwn.\nQuestion: Which is a mammal?\nA. the trout\n")
    found = question(retrieved=("Best.",))
    assert context(prompt("continuation"), found) == "Best. Which is a mammal?"
    assert context(prompt("plain"), found) == "Best.\nWhich is a mammal?"
    for style in ("cloze", "letters", "plain", "continuation"):
        assert "Best" not in context(prompt(style), found, without_question=True)


def test_there_are_letters_for_26_choices_and_no_more():
    alphabet = tuple(f"choice {n}" for n in range(26))
    assert continuations(LETTERS, question(choices=alphabet))[-1] == " Z"
    with pytest.raises(DataError, match=r"question 'q' has 27 choices and there are 26 letters; take prompt=cloze\."):
        continuations(LETTERS, question(choices=(*alphabet, "one more")))
    assert len(continuations(CLOZE, question(choices=(*alphabet, "one more")))) == 27


# --- other styles ----------------------------------------------------------------------------------------------------


def test_letters_with_text_list_the_choices_and_score_the_letter_with_its_text():
    both = prompt("letters_with_text")
    assert context(both, question()) == context(LETTERS, question())
    assert continuations(both, question()) == [" A. the trout", " B. the whale"]
    with pytest.raises(DataError, match="there are 26 letters"):
        continuations(both, question(choices=tuple(f"choice {n}" for n in range(27))))


def test_plain_is_the_text_of_the_question_as_it_is_and_continuation_joins_it_with_its_passage():
    asked = question(question=" The man fell ", context="It was icy.")
    assert context(prompt("plain"), asked) == "It was icy.\n The man fell "
    assert context(prompt("continuation"), asked) == "It was icy.  The man fell "
    assert context(prompt("continuation"), question(question="The man fell")) == "The man fell"
    assert continuations(prompt("plain"), asked) == continuations(CLOZE, asked)


BLANK = prompt("blank")
SENTENCE = question(question="The trout is smaller than the whale, so the _ is easier to fry .", answer=0)


def test_a_blank_is_filled_by_each_choice_and_what_stands_after_it_is_scored():
    assert requests(None, BLANK, SENTENCE, None) == [
        ("The trout is smaller than the whale, so the the trout", " is easier to fry ."),
        ("The trout is smaller than the whale, so the the whale", " is easier to fry ."),
    ]
    assert texts(BLANK, SENTENCE)[0] == "The trout is smaller than the whale, so the the trout"
    assert answers(BLANK, SENTENCE) == ["is easier to fry ."] * 2


def test_a_shot_has_its_blank_filled_with_the_right_choice():
    shot = question(id="s", question="A ____ swims.", choices=("bat", "cod"), answer=1)
    assert context(BLANK, SENTENCE, [shot], choice=1) == (
        "A cod swims.\n\nThe trout is smaller than the whale, so the the whale"
    )


def test_a_blank_without_its_question_leaves_the_choices():
    taught = replace(BLANK, instruction="Fill in.")
    assert requests(None, taught, SENTENCE, None, without_question=True) == [
        ("Fill in.\n\n", " the trout"),
        ("Fill in.\n\n", " the whale"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "Which is it?",
            r"question 'q' has no blank \(_\), and prompt=blank fills the choices into one: 'Which is it\?'",
        ),
        ("A _ and a __.", r"question 'q' has 2 blanks, and prompt=blank"),
        ("It is a _ ", r"question 'q' ends with its blank, and prompt=blank scores what stands after it"),
    ],
)
def test_a_question_without_one_blank_before_something_is_refused(text, told):
    with pytest.raises(DataError, match=told):
        requests(None, BLANK, question(question=text), None)


def test_a_template_of_ones_own_says_what_stands_before_the_answer_and_what_is_scored():
    own = prompt(
        "template",
        template="{{ context }} {{ question }} [{{ choices | join('|') }}]",
        answer_template="({{ letter }}) {{ choice }}",
        instruction="About {{ subject }}.",
    )
    asked = question(context="P.", subject="fish")
    assert context(own, asked, [question(question="Who?")]) == (
        "About fish.\n\n Who? [the trout|the whale] (B) the whale\n\nP. Which is a mammal? [the trout|the whale]"
    )
    assert continuations(own, asked) == [" (A) the trout", " (B) the whale"]
    assert texts(own, asked) == ["(A) the trout", "(B) the whale"]
    assert context(own, asked, without_question=True) == "About fish.\n\n  [the trout|the whale]"


def test_a_template_that_a_question_does_not_fit_names_the_question():
    with pytest.raises(
        DataError, match=r"question 'q': the template '\{\{ choices\[3\] \}\}' cannot be filled in: list obj"
    ):
        context(prompt("template", template="{{ choices[3] }}"), question())


def test_published_is_the_prompt_of_the_set_with_shots_and_seed_of_the_run():
    given_by_the_run = prompt("published", shots=3, shots_seed=5)
    of_set = SimpleNamespace(prompt=SetPrompt("template", "Read.", "{{ question }}", "{{ letter }}"))
    assert given_by_the_run.of_set(of_set) == prompt(
        "template",
        instruction="Read.",
        template="{{ question }}",
        answer_template="{{ letter }}",
        shots=3,
        shots_seed=5,
    )
    assert replace(given_by_the_run, instruction="Mine.").of_set(of_set).instruction == "Mine."
    assert LETTERS.of_set(of_set) == LETTERS


def test_without_its_question_a_prompt_keeps_what_does_not_belong_to_it():
    asked, shot = (
        question(context="Trouts are fish."),
        question(question="Which flies?", choices=("bat", "cow"), answer=0),
    )
    left = context(prompt(instruction="Choose well."), asked, [shot], without_question=True)
    assert left == "Choose well.\n\nQuestion: Which flies?\nAnswer: bat\n\nAnswer:"
    assert context(LETTERS, asked, without_question=True) == "A. the trout\nB. the whale\nAnswer:"


# --- shots -----------------------------------------------------------------------------------------------------------


def test_shots_stand_between_the_instruction_and_the_question_each_with_its_answer():
    shots = [question(question="Which flies?", choices=("the bat", "the cow"), answer=0), question(question="Who?")]
    assert context(prompt(instruction="Choose well."), question(), shots) == (
        "Choose well.\n\n"
        "Question: Which flies?\nAnswer: the bat\n\n"
        "Question: Who?\nAnswer: the whale\n\n"
        "Question: Which is a mammal?\nAnswer:"
    )
    assert context(LETTERS, question(), shots[:1]) == (
        "Question: Which flies?\nA. the bat\nB. the cow\nAnswer: A\n\n"
        "Question: Which is a mammal?\nA. the trout\nB. the whale\nAnswer:"
    )


@given(draws, st.integers(1, 5), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_selection_depends_on_neither_order_nor_ids_nor_duplicates_in_the_pool(draw, shots, seed, chance):
    wanted = prompt(shots=shots, shots_draw=draw, shots_seed=seed)
    others = [question(id=f"other {shot.id}", question=shot.question, choices=shot.choices, answer=shot.answer)
              for shot in chance.choices(POOL, k=30) + POOL]  # fmt: skip
    chance.shuffle(others)
    for asked in [question(), POOL[3]]:
        drawn, again = (Shots(wanted, pool).before(asked) for pool in (POOL, others))
        assert [shot.content for shot in drawn] == [shot.content for shot in again]


@given(draws, st.integers(1, 19), st.integers(0, 3), st.sampled_from(POOL))
def test_a_question_is_never_its_own_example_and_no_example_is_used_twice(draw, shots, seed, asked):
    drawn = Shots(prompt(shots=shots, shots_draw=draw, shots_seed=seed), POOL).before(asked)
    assert len({shot.content for shot in drawn} - {asked.content}) == shots == len(drawn)


@pytest.mark.parametrize("draw", ["fixed", "per_question"])
def test_another_order_of_the_options_has_the_same_shots_and_is_not_its_own_example(draw):
    wanted = prompt(shots=19, shots_draw=draw)
    shots, asked = Shots(wanted, POOL), POOL[4]
    assert shots.before(reordered(asked, (1, 0))) == shots.before(asked)
    assert asked not in shots.before(reordered(asked, (1, 0)))


def test_fixed_shots_are_the_same_before_every_question_that_is_not_among_them():
    shots = Shots(prompt(shots=5), POOL)
    outside = [shots.before(question(question=f"Another, {n}?")) for n in range(10)]
    assert all(drawn == outside[0] for drawn in outside)
    inside = outside[0][2]
    assert shots.before(inside)[:4] == [shot for shot in outside[0] if shot != inside]


def test_shots_per_question_differ_and_use_the_whole_pool_evenly():
    shots = Shots(prompt(shots=5, shots_draw="per_question"), POOL)
    drawn = [shots.before(question(question=f"Another, {n}?")) for n in range(400)]
    used = Counter(shot.id for some in drawn for shot in some)
    assert len({tuple(shot.id for shot in some) for some in drawn}) > 390
    assert set(used) == {shot.id for shot in POOL}
    assert all(60 < times < 140 for times in used.values())  # 100 expected, standard deviation 8.7


@pytest.mark.parametrize("draw", ["fixed", "per_question"])
def test_another_seed_selects_others(draw):
    first, second = (
        Shots(prompt(shots=5, shots_draw=draw, shots_seed=seed), POOL).before(question()) for seed in (0, 1)
    )
    assert first != second


def test_too_few_questions_to_draw_from_are_an_error():
    with pytest.raises(DataError, match=r"prompt\.shots=5: there are 4 training questions .* besides question '2'"):
        Shots(prompt(shots=5), POOL[:5]).before(POOL[2])
    assert len(Shots(prompt(shots=5), POOL[:5]).before(question())) == 5


def test_without_shots_no_pool_is_needed():
    assert Shots(prompt(), []).before(question()) == []


# --- chat templates --------------------------------------------------------------------------------------------------


def chat(template):
    tokenizer = new_tokenizer(300, ["Question: Which is a mammal?"])
    tokenizer.chat_template = template
    return tokenizer


TURNS = "{% for m in messages %}[{{ m.role }}] {{ m.content }}</s>\n{% endfor %}"
ANSWERED = "{% if add_generation_prompt %}[assistant]{% endif %}"


def test_a_chat_template_makes_the_whole_prompt_the_users_turn_and_the_choice_follows_without_a_space():
    talking = prompt(instruction="Choose well.", chat_template=True)
    shown = apply_chat_template(chat(TURNS + ANSWERED), talking, context(talking, question(), [POOL[0]]))
    assert shown == (
        "[user] Choose well.\n\nQuestion: What is 0?\nAnswer: 0\n\n"
        "Question: Which is a mammal?\nAnswer:</s>\n[assistant]"
    )
    assert continuations(talking, question()) == ["the trout", "the whale"]


def test_thinking_is_turned_off_in_templates_that_support_it():
    thinks = TURNS + ANSWERED + "{% if not (enable_thinking is defined and enable_thinking is false) %}Hm{% endif %}"
    assert apply_chat_template(chat(thinks), prompt(chat_template=True), "Answer:").endswith("[assistant]")


def test_the_end_of_a_turn_is_what_the_template_writes_after_the_assistants_words():
    assert end_of_turn(chat(TURNS + ANSWERED)) == "</s>"


@pytest.mark.parametrize("tokenizer", [chat(None), SimpleNamespace()], ids=["none set", "none known"])
def test_a_tokenizer_without_a_template_is_refused_only_where_one_is_needed(tokenizer):
    with pytest.raises(ModelError, match=r"no chat template; base models have none\. Take prompt\.chat_template=false"):
        apply_chat_template(tokenizer, prompt(chat_template=True), "Answer:")
    assert apply_chat_template(tokenizer, prompt(), "Answer:") == "Answer:"
