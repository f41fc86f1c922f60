"""The tokens that are scored are exactly the answer's, and the tokens learned are exactly those scored."""

import copy
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.config.errors import DataError, ModelError
from mcqa.config.prompt_styles import LETTER, STYLES, templates
from mcqa.config.schema import ObjectiveConfig, PromptConfig
from mcqa.data import tokens
from mcqa.data.general_texts import Replay
from mcqa.data.prompts import Shots, apply_chat_template, context, continuations, requests
from mcqa.data.prompts import texts as prompt_texts
from mcqa.data.question import Question, reordered, with_shuffled_choices
from mcqa.data.tokens import (
    IGNORE_INDEX,
    EncodedChoice,
    encode,
    encode_unconditional,
    move_trailing_space,
    text_windows,
    training_set,
)
from mcqa.models.from_scratch import END_OF_TEXT, new_tokenizer


def prompt_with(style="cloze", **changes):
    """A prompt without instruction, shots and template; name only what the test is about."""
    values = {"instruction": "", "template": None, "answer_template": None}
    values |= {"shots": 0, "shots_draw": "fixed", "shots_seed": 0, "chat_template": False}
    return PromptConfig(style, **(values | changes))


CLOZE, LETTERS = prompt_with("cloze"), prompt_with("letters")
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] | trim }}<|endoftext|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""A template as instruction-tuned models have it, with white space before the assistant's first word."""
SENTENCES = [
    "Question: Which of these animals is a mammal?\nA. the trout\nB. the whale\nC. the eagle\nAnswer: the whale",
    "Question: Wie heißt die größte Stadt? Antwort: Zürich liegt am See.",
    "Water boils at 100 degrees and freezes at 0. The answer is yes, and the answer is no.",
] * 3
REAL = os.environ.get("MCQA_TEST_MODELS")


def bytes_alone():
    """As of model=scratch: byte-level pairs, and no special token by itself."""
    return new_tokenizer(500, SENTENCES)


BYTES = bytes_alone()


def bytes_after_a_start():
    """The same, putting one special token before every text, as Llama's does."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = new_tokenizer(500, SENTENCES)
    start = (END_OF_TEXT, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{END_OF_TEXT} $A", special_tokens=[start])
    return tokenizer


def sentencepiece():
    """A trained one: puts <s> before every text, a space before the first word, and unknown characters in bytes."""
    if REAL is None:
        pytest.skip("MCQA_TEST_MODELS names no folder with real models")
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(Path(REAL) / "stories260k")


@pytest.fixture(
    scope="module", params=[bytes_alone, bytes_after_a_start, sentencepiece], ids=lambda make: make.__name__
)
def tokenizer(request):
    return request.param()


def question(**changes):
    """A valid question; name only what the test is about."""
    values = {"id": "q", "question": "Which is a mammal?", "choices": ("the trout", "the whale"), "answer": 1}
    return Question(**(values | changes))


def objective(**changes):
    values = {
        "name": "sft", "epochs": 1.0, "max_steps": None, "max_length": 10_000, "loss_on": "answer", "trainer_args": {},
        "checkpoint_every_min": None, "save_total_limit": 2, "label_smoothing": 0.0, "sft_weight": None,
        "neftune_alpha": None,
        "packing": False, "unlikelihood_weight": None, "normalise": None, "temperature": None, "curriculum": None,
        "learning_rate_factor": 1.0, "pairs": None, "preference_loss": None, "beta": None, "tail_weight": None,
        "replay_share": None,
    }  # fmt: skip
    return ObjectiveConfig(**(values | changes))


# U+2581 is how SentencePiece writes a space
any_text = st.text(st.characters(codec="utf-8", exclude_characters="\u2581"), max_size=12)
some_text = any_text | st.sampled_from(
    ["the whale", "the", "Zürich", "100", "", " ", "the whale ", "\n", "é", "鯨", "🐋"]
)


@st.composite
def questions(draw):
    choices = draw(st.lists(some_text, min_size=1, max_size=5))
    return Question(
        id=draw(st.uuids()).hex,
        question=draw(some_text),
        choices=tuple(choices),
        answer=draw(st.integers(0, len(choices) - 1)),
        context=draw(some_text),
    )


prompts = st.builds(
    prompt_with,
    st.sampled_from(["cloze", "letters", "letters_with_text"]),
    instruction=st.sampled_from(["", "Choose well."]),
)


OWN = {"template": "{{ question }} {{ choices | join(', ') }}\n", "answer_template": "{{ number }}. {{ choice }} "}
FILLED = {"template": "{{ choice }} {{ context }}", "answer_template": "{{ question }}."}
EVERY_STYLE = [
    *(prompt_with(style) for style in STYLES),
    *(prompt_with("template", **templates) for templates in (OWN, FILLED)),
    prompt_with("continuation", instruction="Choose well."),
    prompt_with("blank", chat_template=True),
]


@st.composite
def asked_in_any_style(draw):
    """A prompt, and questions that it can ask."""
    prompt = draw(st.sampled_from(EVERY_STYLE))
    asked = draw(st.lists(questions(), min_size=1, max_size=3, unique_by=lambda one: one.id))
    if prompt.style == "blank":
        asked = [replace(one, question=f"{one.question.replace('_', '-')}_ it is") for one in asked]
    return prompt, asked


def text_of(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@given(some_text, some_text)
def test_white_space_at_the_end_of_the_context_moves_to_the_continuation(before, after):
    kept, moved = move_trailing_space(before, after)
    assert kept + moved == before + after
    assert kept == kept.rstrip()
    assert moved.endswith(after)


# --- tokens of choices -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prompt=prompts, asked=questions())
def test_the_scored_tokens_are_exactly_the_answers(tokenizer, prompt, asked):
    (encoded,) = encode(tokenizer, prompt, [asked])
    for choice, continuation in zip(encoded, continuations(prompt, asked), strict=True):
        assert text_of(tokenizer, choice.context) == context(prompt, asked)
        assert text_of(tokenizer, choice.context + choice.continuation) == context(prompt, asked) + continuation


@settings(deadline=None)
@given(prompt=prompts, asked=questions())
def test_a_byte_level_continuation_reads_as_a_space_and_the_choice(prompt, asked):
    (encoded,) = encode(BYTES, prompt, [asked])
    assert [text_of(BYTES, choice.continuation) for choice in encoded] == continuations(prompt, asked)


@settings(deadline=None)
@given(prompt=prompts, asked=questions())
def test_a_context_and_its_continuation_are_cut_as_lm_evaluation_harness_does(tokenizer, prompt, asked):
    (encoded,) = encode(tokenizer, prompt, [asked])
    before = tokenizer(context(prompt, asked))["input_ids"]
    for choice, continuation in zip(encoded, continuations(prompt, asked), strict=True):
        whole = tokenizer(context(prompt, asked) + continuation)["input_ids"]
        assert choice == EncodedChoice(before, whole[len(before) :])
        assert choice.continuation


@settings(deadline=None)
@given(prompt=prompts, asked=questions())
def test_special_tokens_are_those_that_the_tokenizer_adds_and_never_doubled(tokenizer, prompt, asked):
    special = set(tokenizer.all_special_ids)
    added = [token for token in tokenizer("x")["input_ids"] if token in special]
    for choice in encode(tokenizer, prompt, [asked])[0]:
        assert [token for token in choice.context + choice.continuation if token in special] == added
        assert choice.context[: len(added)] == added


def test_a_letter_is_scored_with_its_space_and_is_not_the_letter_of_the_list(tokenizer):
    (encoded,) = encode(tokenizer, LETTERS, [question()])
    for choice, letter in zip(encoded, "AB", strict=True):
        assert choice.continuation == tokenizer(f"x {letter}")["input_ids"][len(tokenizer("x")["input_ids"]) :]
        assert choice.continuation != tokenizer(f"x{letter}")["input_ids"][len(tokenizer("x")["input_ids"]) :]


@pytest.mark.parametrize("prompt", [CLOZE, LETTERS], ids=["cloze", "letters"])
def test_every_choice_is_read_after_the_same_context(tokenizer, prompt):
    (encoded,) = encode(tokenizer, prompt, [question(choices=("the", "the whale", "the whale shark", "the"))])
    assert all(choice.context == encoded[0].context for choice in encoded)


def test_choices_that_begin_alike_or_are_the_same_keep_their_own_tokens(tokenizer):
    first, longer, again = encode(tokenizer, CLOZE, [question(choices=("the", "the whale", "the"))])[0]
    assert longer.continuation[: len(first.continuation)] == first.continuation
    assert len(longer.continuation) > len(first.continuation)
    assert again == first


@settings(deadline=None)
@given(prompt=prompts, asked=st.lists(questions(), max_size=4), chosen=st.randoms(use_true_random=False))
def test_a_question_has_the_same_tokens_whatever_it_is_encoded_with(tokenizer, prompt, asked, chosen):
    alone = [encode(tokenizer, prompt, [one])[0] for one in asked]
    assert encode(tokenizer, prompt, asked) == alone
    order = chosen.sample(range(len(asked)), len(asked))
    assert encode(tokenizer, prompt, [asked[i] for i in order]) == [alone[i] for i in order]


def test_the_tokenizer_is_called_once_for_all_questions():
    calls = []

    def counting(texts, **options):
        calls.append(texts)
        return BYTES(texts)

    counting.eos_token_id = counting.bos_token = None
    encode(counting, CLOZE, [question(id=str(n), question=f"Which {n}?") for n in range(10)])
    assert len(calls) == 1
    assert len(calls[0]) == len(set(calls[0])) == 30  # ten contexts, twice ten contexts with a choice


def test_where_everything_merges_at_the_join_the_merged_token_is_scored():
    def one_token_a_text(texts, **options):
        return {"input_ids": [[sum(text.encode())] for text in texts]}

    one_token_a_text.eos_token_id = one_token_a_text.bos_token = None
    for choice in encode(one_token_a_text, CLOZE, [question()])[0]:
        assert choice.context == []
        assert len(choice.continuation) == 1


def test_many_questions_are_tokenised_in_parts_and_come_back_in_order(monkeypatch):
    asked = [question(id=str(n), question=f"Which {n}?") for n in range(10)]
    whole = encode(BYTES, CLOZE, asked)
    monkeypatch.setattr(tokens, "BATCH_QUESTIONS", 3)
    assert encode(BYTES, CLOZE, asked) == whole


def test_the_choices_of_a_question_share_the_list_of_their_context():
    first, second = encode(BYTES, CLOZE, [question()])[0]
    assert first.context is second.context


@pytest.mark.parametrize("prompt", [CLOZE, LETTERS], ids=["cloze", "letters"])
def test_shots_are_read_and_not_scored(tokenizer, prompt):
    with_shots = replace(prompt, shots=2)
    shots = Shots(with_shots, [question(question=f"Which {n}?", answer=n % 2) for n in range(5)])
    (alone,), (taught,) = encode(tokenizer, prompt, [question()]), encode(tokenizer, with_shots, [question()], shots)
    expected = context(with_shots, question(), shots.before(question()))
    assert all(text_of(tokenizer, choice.context) == expected for choice in taught)
    assert [choice.continuation for choice in taught] == [choice.continuation for choice in alone]


def test_shots_without_training_questions_are_refused():
    with pytest.raises(DataError, match="there are 0 training questions to draw from"):
        encode(BYTES, replace(CLOZE, shots=1), [question()])


def test_without_its_question_only_the_options_and_the_ending_are_read(tokenizer):
    for prompt, left in [(CLOZE, "Answer:"), (LETTERS, "A. the trout\nB. the whale\nAnswer:")]:
        (choices,) = encode(tokenizer, prompt, [question(context="A passage.")], without_question=True)
        assert [text_of(tokenizer, choice.context) for choice in choices] == [left, left]
        assert [choice.continuation for choice in choices] == [
            choice.continuation for choice in encode(tokenizer, prompt, [question()])[0]
        ]


# --- without any prompt ----------------------------------------------------------------------------------------------


def test_an_unconditional_choice_follows_the_token_that_begins_texts_else_the_one_that_ends_them(tokenizer):
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    for choice, text in zip(encode_unconditional(tokenizer, CLOZE, [question()])[0], question().choices, strict=True):
        assert choice.context == [start]
        assert choice.continuation == tokenizer.encode(f" {text}", add_special_tokens=False)


def test_unconditional_letters_are_the_letters_of_the_prompt():
    assert [
        text_of(BYTES, choice.continuation) for choice in encode_unconditional(BYTES, LETTERS, [question()])[0]
    ] == [
        " A",
        " B",
    ]


def test_a_choice_that_begins_with_the_starting_token_gets_no_second_one():
    told = replace(CLOZE, chat_template=True)  # no space stands before the choice
    (choice, _) = encode_unconditional(BYTES, told, [question(choices=(f"{END_OF_TEXT}yes", "no"))])[0]
    assert choice == EncodedChoice([BYTES.eos_token_id], BYTES.encode("yes"))


def test_without_a_starting_token_nothing_is_scored_unconditionally():
    bare = SimpleNamespace(bos_token_id=None, eos_token_id=None)
    with pytest.raises(ModelError, match="no token that begins or ends a text"):
        encode_unconditional(bare, CLOZE, [question()])


# --- chat templates --------------------------------------------------------------------------------------------------


def chatting(tokenizer, template=CHAT):
    """A copy with a chat template, so that other tests see none."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = template
    return tokenizer


TALKING = prompt_with(chat_template=True)


def test_a_choice_follows_the_template_and_takes_the_white_space_before_it_along(tokenizer):
    talking = chatting(tokenizer)
    shown = apply_chat_template(talking, TALKING, context(TALKING, question()))
    before = talking(shown.rstrip())["input_ids"]
    for choice, text in zip(encode(talking, TALKING, [question()])[0], question().choices, strict=True):
        assert choice == EncodedChoice(before, talking(shown + text)["input_ids"][len(before) :])


def test_a_template_that_begins_the_text_itself_gets_no_second_start(tokenizer):
    if tokenizer.bos_token is None:
        tokenizer = copy.deepcopy(tokenizer)
        tokenizer.bos_token = END_OF_TEXT
    talking = chatting(tokenizer, "{{ bos_token }}" + CHAT.replace("<|endoftext|>", ""))
    for choice in encode(talking, TALKING, [question()])[0]:
        assert choice.context.count(talking.bos_token_id) == 1
        assert choice.context[0] == talking.bos_token_id


def test_an_end_of_text_that_the_template_wrote_stays_where_it_is():
    talking = chatting(BYTES, "{% for message in messages %}{{ message['content'] }}<|endoftext|>{% endfor %}")
    for choice in encode(talking, TALKING, [question()])[0]:
        assert choice.context[-1] == talking.eos_token_id


def test_a_training_example_ends_as_the_template_ends_a_turn_where_that_is_one_token():
    talking = chatting(BYTES, CHAT.replace("<|endoftext|>", "<|turn|>"))
    assert training_set(talking, TALKING, objective(), [question()], []).examples[0].input_ids[-1] == BYTES.eos_token_id
    talking.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    (example,) = training_set(talking, TALKING, objective(), [question()], []).examples
    assert example.input_ids[-1] == talking.convert_tokens_to_ids("<|turn|>")
    assert talking.eos_token_id not in example.input_ids


def test_no_questions_need_no_tokenizer():
    assert encode(None, CLOZE, []) == []


# --- training examples -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(prompt=prompts, asked=st.lists(questions(), min_size=1, max_size=4, unique_by=lambda one: one.id))
def test_the_tokens_learned_are_those_scored_and_the_end_of_text(tokenizer, prompt, asked):
    end = tokenizer.eos_token_id
    training = training_set(tokenizer, prompt, objective(), asked, [])
    for one, choices, example in zip(asked, encode(tokenizer, prompt, asked), training.examples, strict=True):
        right = choices[one.answer]
        assert example.input_ids == [*right.context, *right.continuation, end]
        assert example.labels == [IGNORE_INDEX] * len(right.context) + [*right.continuation, end]
        assert example.supervised == len(right.continuation) + 1


@settings(deadline=None)
@given(asked_in_any_style(), st.sampled_from(["sft", "choice"]))
def test_in_every_style_what_is_learned_is_what_is_scored(tokenizer, given, name):
    prompt, asked = given
    tokenizer = chatting(tokenizer)
    wanted = objective(name=name, normalise="characters", temperature=1.0)
    training = training_set(tokenizer, prompt, wanted, asked, [])
    end = training.examples[0].input_ids[-1]
    for one, choices, example in zip(asked, encode(tokenizer, prompt, asked), training.examples, strict=True):
        right = choices[one.answer]
        assert right.context and right.continuation
        assert example.input_ids == [*right.context, *right.continuation, end]
        assert example.labels == [IGNORE_INDEX] * len(right.context) + [*right.continuation, end]
        if name == "choice":
            assert list(example.choices) == choices
            assert list(example.lengths) == [len(text) for text in prompt_texts(prompt, one)]


@settings(deadline=None)
@given(asked_in_any_style(), st.randoms(use_true_random=False))
def test_in_every_style_shuffled_options_leave_right_what_is_right(tokenizer, given, chance):
    prompt, (one, *_) = given
    tokenizer = chatting(tokenizer)
    shuffled = reordered(one, chance.sample(range(len(one.choices)), len(one.choices)))
    assert shuffled.choices[shuffled.answer] == one.choices[one.answer]
    (before, after), moved = (requests(tokenizer, prompt, q, None)[q.answer] for q in (one, shuffled))
    if not templates(prompt).shows_options:
        assert moved == (before, after)
    elif templates(prompt).answer != LETTER:
        assert moved[1].strip().endswith(one.choices[one.answer].strip())
    else:
        letter = moved[1].strip()
        assert shuffled.choices["ABCDE".index(letter)] == one.choices[one.answer]


def test_an_empty_prompt_is_the_token_that_begins_texts_and_all_of_the_choice_is_scored(tokenizer):
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    (choices,) = encode(tokenizer, prompt_with("plain"), [question()], without_question=True)
    for choice, text in zip(choices, question().choices, strict=True):
        assert choice.context == [start]
        assert text_of(tokenizer, choice.continuation).strip() == text
    bare = SimpleNamespace(bos_token_id=None, eos_token_id=None, bos_token=None, eos_token=None)

    def without_start(texts, **options):
        return BYTES(texts)

    without_start.__dict__ |= vars(bare)
    with pytest.raises(
        ModelError, match="no choice can be scored after an empty prompt. Take prompt=cloze, or set bos"
    ):
        encode(without_start, prompt_with("plain"), [question()], without_question=True)


def test_a_training_question_is_learned_after_its_shots_and_never_after_itself(tokenizer):
    taught = replace(CLOZE, shots=2)
    asked = [question(id=str(n), question=f"Which {n}?") for n in range(4)]
    shots = Shots(taught, asked)
    training = training_set(tokenizer, taught, objective(), asked, [], shots)
    for one, example in zip(asked, training.examples, strict=True):
        text = text_of(tokenizer, example.input_ids)
        assert text.count("Question:") == 3 and text.count(one.question) == 1
        learned = [token for token in example.labels if token != IGNORE_INDEX]
        assert learned == [*encode(tokenizer, taught, [one], shots)[0][one.answer].continuation, tokenizer.eos_token_id]


@settings(deadline=None)
@given(prompt=prompts, asked=questions())
def test_with_loss_on_all_the_question_is_learned_too(tokenizer, prompt, asked):
    (answer_only,) = training_set(tokenizer, prompt, objective(), [asked], []).examples
    (everything,) = training_set(tokenizer, prompt, objective(loss_on="all"), [asked], []).examples
    assert everything.input_ids == everything.labels == answer_only.input_ids
    assert everything.supervised == len(everything.input_ids) - 1


def test_an_example_ends_with_one_end_of_text_where_the_tokenizer_adds_one_itself():
    from tokenizers.processors import TemplateProcessing

    tokenizer = bytes_alone()
    end = tokenizer.eos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {END_OF_TEXT}", special_tokens=[(END_OF_TEXT, end)]
    )
    (choices,) = encode(tokenizer, CLOZE, [question()])
    assert [text_of(tokenizer, choice.continuation) for choice in choices] == [" the trout", " the whale"]
    (example,) = training_set(tokenizer, CLOZE, objective(), [question()], []).examples
    assert example.input_ids.count(end) == 1


@settings(deadline=None)
@given(
    asked=st.lists(questions(), min_size=2, max_size=6, unique_by=lambda one: one.id),
    loss_on=st.sampled_from(["answer", "all"]),
    data=st.data(),
)
def test_examples_that_are_too_long_are_dropped_whole_and_listed_by_id(tokenizer, asked, loss_on, data):
    uncut = training_set(tokenizer, CLOZE, objective(loss_on=loss_on), asked, []).examples
    lengths = [len(example.input_ids) for example in uncut]
    longest = data.draw(st.sampled_from(lengths))
    training = training_set(tokenizer, CLOZE, objective(loss_on=loss_on, max_length=longest), asked, [])
    assert training.examples == [example for example in uncut if len(example.input_ids) <= longest]
    assert training.too_long == {one.id: length for one, length in zip(asked, lengths, strict=True) if length > longest}


def test_where_no_example_is_short_enough_the_error_names_the_shortest(tokenizer):
    asked = [question(id="a"), question(id="b", question="Which is a mammal " * 9)]
    (example,) = training_set(tokenizer, CLOZE, objective(), asked[:1], []).examples
    length = len(example.input_ids)
    with pytest.raises(
        DataError, match=rf"2 are longer than objective\.max_length={length - 1} tokens; the shortest has {length}\."
    ):
        training_set(tokenizer, CLOZE, objective(max_length=length - 1), asked, [])


def test_options_have_another_order_in_each_epoch_and_the_answer_follows(tokenizer):
    asked = [question(id=str(n), choices=("red", "green", "blue", "grey"), answer=n % 4) for n in range(8)]
    training = training_set(tokenizer, LETTERS, objective(), asked, [], shuffle_seed=3)
    again = training_set(tokenizer, LETTERS, objective(), asked, [], shuffle_seed=3)
    other = training_set(tokenizer, LETTERS, objective(), asked, [], shuffle_seed=4)
    epochs = [training.epoch(number) for number in range(3)]
    assert epochs == [again.epoch(number) for number in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] and epochs[0] != other.epoch(0)
    for number, examples in enumerate(epochs):
        shuffled = [with_shuffled_choices(one, 3, number) for one in asked]
        assert [one.choices[one.answer] for one in shuffled] == [one.choices[one.answer] for one in asked]
        assert examples == training_set(tokenizer, LETTERS, objective(), shuffled, []).examples
    assert training.first(3).epoch(1) == epochs[1][:3]


def test_without_a_seed_every_epoch_is_the_same(tokenizer):
    training = training_set(tokenizer, LETTERS, objective(), [question()], [])
    assert training.epoch(0) is training.epoch(5) is training.examples


def test_what_is_too_long_is_left_out_of_every_epoch(tokenizer):
    asked = [question(id="short"), question(id="long", question="why " * 400)]
    training = training_set(tokenizer, LETTERS, objective(max_length=400), asked, [], shuffle_seed=1)
    assert list(training.too_long) == ["long"]
    assert len(training.epoch(2)) == 1


def test_without_questions_there_is_no_training_set(tokenizer):
    with pytest.raises(DataError, match="no training example is left: 0 are longer"):
        training_set(tokenizer, CLOZE, objective(), [], [])


def test_letters_without_end_are_refused_in_training_too(tokenizer):
    with pytest.raises(DataError, match="30 choices and there are 26 letters"):
        training_set(tokenizer, LETTERS, objective(), [question(choices=tuple(map(str, range(30))))], [])


def test_a_tokenizer_without_an_end_of_text_is_refused():
    with pytest.raises(ModelError, match="no end-of-text token"):
        training_set(SimpleNamespace(eos_token_id=None), CLOZE, objective(), [question()], [])


@settings(deadline=None)
@given(texts=st.lists(any_text.map("The {}.".format), min_size=1, max_size=4))
def test_pretraining_learns_every_token_of_a_text_and_its_end(tokenizer, texts):
    pretrain = objective(name="pretrain", loss_on="all")
    training = training_set(tokenizer, CLOZE, pretrain, [question()], texts)
    for text, example in zip(texts, training.examples, strict=True):
        assert example.input_ids == example.labels == [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]


@settings(deadline=None)
@given(texts=st.lists(any_text.map("The {}.".format), min_size=1, max_size=4), length=st.integers(2, 9))
def test_the_windows_of_a_text_predict_each_of_its_tokens_but_the_first_once(tokenizer, texts, length):
    pretrain = objective(name="pretrain", loss_on="all", max_length=length)
    training = training_set(tokenizer, CLOZE, pretrain, [], texts)
    assert not training.too_long
    assert all(2 <= len(example.input_ids) <= length for example in training.examples)
    predicted = [token for example in training.examples for token in example.labels[1:]]
    whole = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    assert predicted == [token for ids in whole for token in ids[1:]]


def test_a_text_in_windows_is_read_from_its_beginning_to_its_end(tokenizer):
    text = "The whale is a mammal and the trout is a fish."
    ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    first, *others = text_windows(tokenizer, [text], 5)
    assert first.input_ids == ids[:5]
    assert [*first.input_ids, *(token for other in others for token in other.input_ids[1:])] == ids
    assert all(after.input_ids[0] == before.input_ids[-1] for before, after in pairwise([first, *others]))


def test_a_mixed_set_has_every_text_and_every_question(tokenizer):
    texts, questions = ["The whale.", "The trout."], [question(id=str(n)) for n in range(3)]
    parts = [
        training_set(tokenizer, LETTERS, objective(name=name), questions, texts, None, 0)
        for name in ("sft", "pretrain", "mixed")
    ]
    asked, read, both = parts
    assert both.examples == [*asked.examples, *read.examples]
    assert both.epoch(1) == [*asked.epoch(1), *read.examples] != both.examples  # other orders of the options
    assert asked.examples[0].labels[0] == IGNORE_INDEX  # an answer alone is learned, and of a text all of it
    assert read.examples[0].labels == read.examples[0].input_ids


def test_without_a_question_a_mixed_set_is_refused(tokenizer):
    with pytest.raises(DataError, match="no training example is left: 1 are longer"):
        training_set(tokenizer, CLOZE, objective(name="mixed", max_length=2), [question()], ["The whale."])


@pytest.mark.parametrize("name", ["sft", "pretrain", "mixed"])
def test_replay_adds_its_share_of_general_text_to_each_epoch_and_draws_anew(name, tokenizer):
    general = [f"General {number}." for number in range(12)]
    replay = Replay(general, share=0.25, seed=0)
    asked = objective(name=name), [question(id=str(n)) for n in range(6)], ["The whale.", "The trout."]
    plain = training_set(tokenizer, CLOZE, *asked)
    training = training_set(tokenizer, CLOZE, *asked, None, None, (), None, replay)
    own, added = len(plain.examples), replay.count(len(plain.examples))
    assert added == {"sft": 2, "pretrain": 1, "mixed": 3}[name]  # of 8, 3 and 11 examples
    epochs = [training.epoch(number) for number in range(4)]
    assert epochs[0] == training.examples and all(one[:own] == plain.examples for one in epochs)
    drawn = [tuple(example.input_ids) for one in epochs for example in one[own:]]
    windows = {tuple(one.input_ids) for one in text_windows(tokenizer, general, 99)}
    assert len(drawn) == 4 * added and set(drawn) <= windows
    assert len(set(drawn)) == min(len(drawn), 12)  # none again before all were drawn
    assert training_set(tokenizer, CLOZE, *asked, None, None, (), None, replay).epoch(3) == epochs[3]
