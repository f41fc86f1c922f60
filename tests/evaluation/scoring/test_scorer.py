"""A score is what the model gives a choice that it reads alone; batching, order and company change nothing."""

import os
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcqa.config.errors import ModelError
from mcqa.config.schema import HardwareConfig, PromptConfig
from mcqa.data.question import Question
from mcqa.data.tokens import EncodedChoice, encode
from mcqa.evaluation.scoring.forward import Forward, device_of
from mcqa.evaluation.scoring.scorer import score
from mcqa.evaluation.scoring.tree import Row
from mcqa.models import from_scratch
from mcqa.models.from_scratch import new_tokenizer
from mcqa.models.loading import keep_4bit_weights_as_trained

VOCABULARY = 300
CONTEXT_LENGTH = 48
TOKENIZER = new_tokenizer(VOCABULARY, ["Question: Which of these is a mammal? Answer: the whale is a mammal"] * 3)
CPU = HardwareConfig(
    name="cpu",
    device="cpu",
    devices=1,
    nodes=1,
    strategy="ddp",
    cpu_offload=False,
    memory_gb=None,
    timeout_s=1800,
    precision="fp32",
    micro_batch_size=8,
    training_tokens=None,
    evaluation_tokens=1024,
    gradient_checkpointing=False,
    attention="auto",
    compile=False,
    tf32=False,
)
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT_LENGTH,
    "initializer_range": 0.3,  # far from uniform, so that a wrong mask or position would be seen
}
ARCHITECTURES = {
    "qwen3": {},
    "llama": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": 8},
    "gemma3_text": {"sliding_window": 8, "final_logit_softcapping": 5.0},
}


def prompt(style):
    values = {"instruction": "", "template": None, "answer_template": None}
    return PromptConfig(style, shots=0, shots_draw="fixed", shots_seed=0, chat_template=False, **values)


def new_model(model_type="qwen3", **changes):
    torch.manual_seed(0)
    shape = {"model_type": model_type} | SHAPE | ARCHITECTURES[model_type] | changes
    return from_scratch.new_model(shape, TOKENIZER, CPU).eval()


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    return new_model(request.param)


QWEN = new_model()

token = st.integers(1, len(TOKENIZER) - 1)
tokens = st.lists(token, min_size=1, max_size=12)


@st.composite
def questions(draw):
    """Choices after one context; short ones often begin alike or are the same."""
    context = draw(tokens)
    choices = draw(
        st.lists(st.lists(st.sampled_from([5, 6, 7]) | token, min_size=1, max_size=5), min_size=1, max_size=5)
    )
    return [EncodedChoice(context, choice) for choice in choices]


def alone(model, choice, context_length=CONTEXT_LENGTH):
    """The naive way: one choice, one forward pass, the softmax over every position."""
    whole = choice.context + choice.continuation
    inputs = whole[-(context_length + 1) :][:-1]
    scored = choice.continuation[-len(inputs) :]
    with torch.no_grad():
        logprobs_TV = model(input_ids=torch.tensor([inputs])).logits[0].float().log_softmax(-1)
    return sum(logprobs_TV[t, token].item() for t, token in zip(range(-len(scored), 0), scored, strict=True))


def all_alone(model, encoded):
    return [[alone(model, choice) for choice in choices] for choices in encoded]


def close(found, expected, tolerance=1e-4):
    assert [len(row) for row in found] == [len(row) for row in expected]
    flat, wanted = ([value for row in rows for value in row] for rows in (found, expected))
    assert flat == pytest.approx(wanted, abs=tolerance)


# --- the same as one by one ------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(encoded=st.lists(questions(), min_size=1, max_size=5), budget=st.integers(1, 200))
def test_scores_are_those_of_every_choice_read_alone(model, encoded, budget):
    found = score(model, encoded, budget)
    assert not any(found.truncated)
    close(found.scores, all_alone(model, encoded))


@settings(deadline=None, max_examples=25)
@given(encoded=st.lists(questions(), min_size=1, max_size=6), order=st.randoms(use_true_random=False))
def test_neither_order_nor_batch_size_changes_a_score(encoded, order):
    expected = score(QWEN, encoded, 10**6).scores
    shuffled = order.sample(range(len(encoded)), len(encoded))
    for budget in (1, 37, 10**6):
        close(score(QWEN, [encoded[i] for i in shuffled], budget).scores, [expected[i] for i in shuffled])


@settings(deadline=None, max_examples=25)
@given(choices=questions(), others=st.lists(questions(), max_size=4), order=st.randoms(use_true_random=False))
def test_choices_in_another_order_have_their_scores_in_that_order(choices, others, order):
    permutation = order.sample(range(len(choices)), len(choices))
    before, *_ = score(QWEN, [choices, *others], 100).scores
    after, *_ = score(QWEN, [[choices[i] for i in permutation], *others], 100).scores
    close([after], [[before[i] for i in permutation]])


@settings(deadline=None, max_examples=25)
@given(
    encoded=st.lists(questions(), min_size=1, max_size=4),
    others=st.lists(questions(), min_size=1, max_size=6),
    budget=st.integers(1, 300),
)
def test_the_company_of_other_questions_changes_no_score(encoded, others, budget):
    expected = score(QWEN, encoded, budget).scores
    found = score(QWEN, others + encoded, budget).scores
    close(found[len(others) :], expected)


PREFIX = [7 + i % 50 for i in range(20)]


def after_prefix(prefix, encoded):
    return [[EncodedChoice([*prefix, *one.context], one.continuation) for one in choices] for choices in encoded]


@settings(deadline=None, max_examples=25)
@given(encoded=st.lists(questions(), min_size=5, max_size=8), budget=st.integers(1, 300))
def test_a_shared_prefix_read_once_changes_no_score(encoded, budget):
    long = after_prefix(PREFIX, encoded)
    stranger = [EncodedChoice([4, 3], [3])]  # begins otherwise, so that there is no shared prefix
    without = score(QWEN, [*long, stranger], budget)
    assert "read once" not in without.method
    close(score(QWEN, long, budget).scores, without.scores[:-1])


@pytest.mark.parametrize("style", ["cloze", "letters"])
def test_questions_of_any_number_of_choices_score_as_their_texts_do(model, style):
    asked = [
        Question("1", "Which is a mammal?", ("the trout", "the whale", "the whale", "wh"), 1),
        Question("2", "Größe?", ("鯨", ""), 0),
        Question("3", "?", ("yes", "no", "yes and no"), 0),
    ]
    roomy = new_model(model.config.model_type, max_position_embeddings=256)
    encoded = encode(TOKENIZER, prompt(style), asked)
    found = score(roomy, encoded, 100)
    close(found.scores, [[alone(roomy, choice, 256) for choice in choices] for choices in encoded])
    assert [len(row) for row in found.scores] == [4, 2, 3]


def test_scores_are_sums_of_log_probabilities_in_nats():
    (one,) = score(QWEN, [[EncodedChoice([9, 8], [t]) for t in range(len(TOKENIZER))]], 100).scores
    assert torch.tensor(one).exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_a_model_that_computes_all_logits_scores_the_same():
    class Plain(torch.nn.Module):
        """Its head is none of its modules."""

        def __init__(self):
            super().__init__()
            self.inner, self.config, self.device, self.dtype = QWEN, QWEN.config, QWEN.device, QWEN.dtype

        def get_output_embeddings(self):
            return None

        def forward(self, **inputs):
            return self.inner(**inputs)

    encoded = [[EncodedChoice([5, 6, 7], [8, 9]), EncodedChoice([5, 6, 7], [8])], [EncodedChoice([9], [5, 5, 5])]]
    close(score(Plain(), encoded, 100).scores, all_alone(QWEN, encoded))


def adapted(base):
    """With an adapter that has learned something: as it is made, it changes nothing."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    return model.eval()


@pytest.fixture(scope="module")
def adapter_and_merged():
    return adapted(deepcopy(QWEN)), adapted(deepcopy(QWEN)).merge_and_unload()


def test_a_model_with_an_adapter_scores_the_same(adapter_and_merged):
    adapter, _ = adapter_and_merged
    encoded = [[EncodedChoice([5, 6, 7], [8, 9]), EncodedChoice([5, 6, 7], [8])], [EncodedChoice([9], [5, 5, 5])]]
    expected = all_alone(adapter, encoded)
    close(score(adapter, encoded, 100).scores, expected)
    assert abs(expected[0][0] - alone(QWEN, encoded[0][0])) > 0.1


@settings(deadline=None, max_examples=25)
@given(encoded=st.lists(questions(), min_size=1, max_size=5), budget=st.integers(1, 200))
def test_an_adapter_scores_as_it_does_merged_into_its_base(adapter_and_merged, encoded, budget):
    adapter, merged = adapter_and_merged
    close(score(adapter, encoded, budget).scores, score(merged, encoded, budget).scores, tolerance=1e-3)


@pytest.fixture(scope="module")
def four_bit(tmp_path_factory):
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    folder = tmp_path_factory.mktemp("four_bit")
    QWEN.save_pretrained(folder)
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, quantization_config=nf4)
    assert model.model.layers[0].mlp.down_proj.weight.element_size() == 1
    keep_4bit_weights_as_trained(model)
    return model.eval()


@settings(deadline=None, max_examples=25)
@given(encoded=st.lists(questions(), min_size=1, max_size=5), budget=st.integers(1, 200))
def test_quantised_weights_score_as_every_choice_read_alone(four_bit, encoded, budget):
    close(score(four_bit, encoded, budget).scores, all_alone(four_bit, encoded))


def test_quantised_weights_read_a_tree_and_a_shared_prefix(four_bit):
    trees = [tree_of(10), tree_of(20)]
    assert "the choices share its prompt" in score(four_bit, trees).method
    found = score(four_bit, after_prefix(PREFIX, trees * 4))
    assert "that all questions begin with" in found.method
    close(found.scores, all_alone(four_bit, after_prefix(PREFIX, trees * 4)))


def test_the_softmax_is_taken_in_single_precision():
    half = deepcopy(QWEN).to(torch.bfloat16)
    with torch.no_grad():
        logits_V = half(input_ids=torch.tensor([[5, 6]])).logits[0, -1]
    (found,) = score(half, [[EncodedChoice([5, 6], [t]) for t in range(len(TOKENIZER))]], 100).scores
    assert found == pytest.approx(logits_V.float().log_softmax(-1).tolist(), abs=1e-5)
    assert len(set(found)) > len(set(logits_V.log_softmax(-1).tolist()))  # where half precision ties


@contextmanager
def counting_forward_passes(model):
    shapes = []
    hook = model.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    yield shapes
    hook.remove()


# --- batches and methods ---------------------------------------------------------------------------------------------


def test_the_budget_bounds_what_a_forward_pass_holds():
    encoded = [[EncodedChoice([5] * n, [6, 7]), EncodedChoice([5] * n, [7, 7])] for n in range(1, 20)]
    with counting_forward_passes(QWEN) as shapes:
        score(QWEN, encoded, 64)
    assert len(shapes) > 3
    assert all(rows * length <= 64 for rows, length in shapes)


def tree_of(context_length, choices=3):
    return [EncodedChoice([5 + i % 90 for i in range(context_length)], [c + 5, c + 9]) for c in range(choices)]


def test_a_question_is_read_once_and_its_choices_behind_it():
    with counting_forward_passes(QWEN) as shapes:
        found = score(QWEN, [tree_of(20)])
    assert "the choices share its prompt." in found.method
    assert shapes[-1] == (1, 20 + 3)


def test_a_shared_prefix_is_read_once():
    begin = [7 + i % 50 for i in range(30)]
    encoded = [[EncodedChoice([*begin, 5 + n], [c + 5, c + 9]) for c in range(3)] for n in range(8)]
    with counting_forward_passes(QWEN) as shapes:
        found = score(QWEN, encoded)
    assert "30 tokens that all questions begin with" in found.method
    assert shapes[-1] == (8, 1 + 3)
    close(found.scores, all_alone(QWEN, encoded))


@pytest.mark.parametrize("model_type", ["mistral", "gemma3_text"])
def test_questions_longer_than_the_attention_window_get_a_row_for_each_choice_and_the_others_a_tree(model_type):
    windowed = new_model(model_type)
    encoded = [tree_of(length) for length in (3, 4, 5, 30, 40)]
    found = score(windowed, encoded)
    assert "those of 2 questions longer than the model's attention window" in found.method
    close(found.scores, all_alone(windowed, encoded))


def test_a_model_that_ignores_the_mask_gets_a_row_for_each_choice_and_the_method_says_so():
    deaf = deepcopy(QWEN)
    inner = deaf.forward
    deaf.forward = lambda attention_mask=None, **inputs: inner(**inputs)
    encoded = [tree_of(10), tree_of(20)]
    found = score(deaf, encoded)
    assert "cannot read choices as a tree" in found.method
    close(found.scores, all_alone(QWEN, encoded))


def test_such_a_model_is_detected_although_most_choices_do_not_branch():
    deaf = deepcopy(QWEN)
    inner = deaf.forward
    deaf.forward = lambda attention_mask=None, **inputs: inner(**inputs)
    one_token = [[EncodedChoice([5, 6, 7][:n], [c]) for c in (9, 8)] for n in (2, 3)]
    late = [[EncodedChoice(list(range(5, 5 + n)), c) for c in ([9], [8], [7, 7, 7], [6, 6, 6])] for n in (4, 5)]
    for encoded in ([*one_token, tree_of(8), tree_of(9)], late):
        close(score(deaf, encoded).scores, all_alone(QWEN, encoded))


def test_attention_that_takes_no_mask_of_ours_is_changed_for_the_tree_and_put_back():
    seen = []
    flex = deepcopy(QWEN)
    flex.set_attn_implementation("flex_attention")
    flex.register_forward_pre_hook(lambda *_: seen.append(flex.config._attn_implementation))
    close(score(flex, [tree_of(10)]).scores, all_alone(QWEN, [tree_of(10)]))
    assert set(seen) == {"sdpa"}
    assert flex.config._attn_implementation == "flex_attention"


def test_eager_attention_reads_the_tree_too():
    eager = deepcopy(QWEN)
    eager.set_attn_implementation("eager")
    found = score(eager, [tree_of(10), tree_of(15)])
    assert "the choices share its prompt." in found.method
    close(found.scores, all_alone(QWEN, [tree_of(10), tree_of(15)]))


@pytest.mark.slow
def test_a_compiled_model_computes_logits_where_they_are_needed_in_each_forward_pass():
    model = new_model()
    compiled = torch.compile(model, backend="eager")  # what a backend makes of the graph is torch's
    for length, position in [(8, 2), (8, 5), (12, 3), (9, 7), (10, 1)]:
        tokens = [(7 * i + length) % 200 + 5 for i in range(length)]
        row = Row(tokens, list(range(length)), [length] * length, [(position, 9, 0), (position + 1, 17, 0)])
        _, wanted = Forward(model, []).log_probabilities([row, row])
        _, told = Forward(model, [], wrapped=compiled).log_probabilities([row, row])
        assert torch.allclose(told, wanted, atol=1e-4)


def test_out_of_memory_halves_the_batch_and_changes_no_score():
    small = deepcopy(QWEN)
    refused = []

    def limited(_, args, kwargs):
        if kwargs["input_ids"].numel() > 100:
            refused.append(kwargs["input_ids"].shape)
            raise torch.OutOfMemoryError("out of memory")

    small.register_forward_pre_hook(limited, with_kwargs=True)
    encoded = [tree_of(10 + n) for n in range(12)]
    close(score(small, encoded, 10_000).scores, all_alone(QWEN, encoded))
    assert refused


def test_a_question_too_large_for_the_memory_is_an_error_that_says_what_to_do():
    small = deepcopy(QWEN)

    def full(_, args, kwargs):
        if kwargs["input_ids"].numel() > 30:
            raise torch.OutOfMemoryError("out of memory")

    small.register_forward_pre_hook(full, with_kwargs=True)
    with pytest.raises(ModelError, match=r"a question of 43 tokens is too much for the memory"):
        score(small, [tree_of(40), *(tree_of(3) for _ in range(4))])


# --- longer than the model -------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 3 * CONTEXT_LENGTH), st.integers(1, 6)), min_size=1, max_size=4),
    budget=st.integers(1, 300),
)
def test_a_long_context_loses_its_beginning_as_in_lm_evaluation_harness_and_is_counted(lengths, budget):
    encoded = [
        [
            EncodedChoice([5 + i % 90 for i in range(before)], [100 + (c * i) % 90 for i in range(after)])
            for c in range(3)
        ]
        for before, after in lengths
    ]
    found = score(QWEN, encoded, budget)
    close(found.scores, all_alone(QWEN, encoded))
    assert found.truncated == [before + after > CONTEXT_LENGTH + 1 for before, after in lengths]


@settings(deadline=None, max_examples=25)
@given(
    encoded=st.lists(questions(), min_size=1, max_size=4),
    begin=st.integers(CONTEXT_LENGTH - 12, 2 * CONTEXT_LENGTH),
    budget=st.integers(1, 300),
)
def test_choices_of_different_lengths_that_lose_their_beginning_score_as_alone(encoded, begin, budget):
    """Each loses as much as it must, so the rows of a question may begin at different tokens."""
    long = after_prefix([5 + i % 90 for i in range(begin)], encoded)
    close(score(QWEN, long, budget).scores, all_alone(QWEN, long))


def test_choices_that_lose_as_much_still_share_a_tree():
    encoded = [tree_of(3 * CONTEXT_LENGTH), tree_of(2 * CONTEXT_LENGTH)]
    with counting_forward_passes(QWEN) as shapes:
        found = score(QWEN, encoded)
    assert "the choices share its prompt." in found.method and found.truncated == [True, True]
    assert shapes[-1] == (2, CONTEXT_LENGTH - 1 + 3)
    close(found.scores, all_alone(QWEN, encoded))


def test_the_last_token_is_never_read_so_one_more_than_the_context_length_still_fits():
    fitting = [EncodedChoice([5] * CONTEXT_LENGTH, [6])]
    longer = [EncodedChoice([7] + [5] * CONTEXT_LENGTH, [6]), EncodedChoice([7], [6])]
    found = score(QWEN, [fitting, longer], 1000)
    assert sum(found.truncated) == 1
    assert found.scores[0][0] == pytest.approx(found.scores[1][0], abs=1e-4)


def test_a_question_is_counted_once_however_many_of_its_choices_are_too_long():
    assert score(
        QWEN, [[EncodedChoice([5] * 99, [6]), EncodedChoice([5] * 99, [6, 7]), EncodedChoice([5], [6])]], 1000
    ).truncated == [True]


def test_a_choice_longer_than_the_model_is_not_scored_and_changes_no_other():
    def choice(length):
        return EncodedChoice([5, 6], [7 + i % 50 for i in range(length)])

    asked = [[choice(3), choice(CONTEXT_LENGTH + 9)], [choice(4), choice(CONTEXT_LENGTH)], [choice(CONTEXT_LENGTH + 1)]]
    found = score(QWEN, asked, 1000)
    assert (found.truncated, found.too_long) == ([False, True, False], [True, False, True])
    assert [[value == value for value in row] for row in found.scores] == [[True, False], [True, True], [False]]
    (first, _), second, _ = found.scores
    close([[first], second], [[alone(QWEN, asked[0][0])], [alone(QWEN, one) for one in asked[1]]])


def test_where_choices_lose_different_parts_of_the_prompt_the_method_says_that_it_takes_longer():
    context = [5 + i % 90 for i in range(2 * CONTEXT_LENGTH)]
    asked = [[EncodedChoice(context, [7] * length) for length in (1, 2, 3)], tree_of(3)]
    found = score(QWEN, asked)
    assert "1 of 2 questions are longer than the model's context" in found.method and "takes longer" in found.method
    close(found.scores, all_alone(QWEN, asked))


# --- what can go wrong, and what is left behind ----------------------------------------------------------------------

ENCODED = [[EncodedChoice([5, 6], [7]), EncodedChoice([5, 6], [8, 9])]]


def test_weights_that_are_not_numbers_give_scores_that_are_none():
    broken = deepcopy(QWEN)
    with torch.no_grad():
        broken.model.layers[0].mlp.down_proj.weight[0, 0] = float("nan")
    (scores,) = score(broken, ENCODED, 100).scores
    assert all(value != value for value in scores)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_that_it_was_in(training):
    model = deepcopy(QWEN).train(training)
    score(model, ENCODED, 100)
    assert {module.training for module in model.modules()} == {training}


def test_the_mode_is_restored_when_the_forward_pass_fails():
    model = deepcopy(QWEN).train()
    with pytest.raises(IndexError):
        score(model, [[EncodedChoice([10**6], [5])]], 100)
    assert model.training


def test_dropout_is_off_while_a_model_in_training_is_measured():
    model = new_model(attention_dropout=0.9)
    expected = score(model, ENCODED, 100).scores
    model.train()
    close(score(model, ENCODED, 100).scores, expected, tolerance=1e-6)


def test_measuring_leaves_no_gradients():
    model = deepcopy(QWEN).train()
    score(model, ENCODED, 100)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_weights_that_are_kept_in_the_memory_of_the_cpu_compute_where_their_mesh_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    model = torch.nn.Linear(1, 1)
    model.device = torch.device("cpu")
    assert device_of(model) == torch.device("cpu")
    for weight in model.parameters():
        weight.device_mesh = SimpleNamespace(device_type="cuda")
    assert device_of(model) == torch.device("cuda", 1)


def test_no_questions_have_no_scores():
    found = score(QWEN, [], 100)
    assert (found.scores, found.truncated, found.too_long) == ([], [], [])


# --- a trained model -------------------------------------------------------------------------------------------------


@pytest.mark.skipif("MCQA_TEST_MODELS" not in os.environ, reason="MCQA_TEST_MODELS names no folder with real models")
def test_a_trained_model_scores_as_one_by_one_and_prefers_what_it_was_trained_on():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(os.environ["MCQA_TEST_MODELS"]) / "stories260k"
    trained, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    asked = [
        Question("1", "What did Lily like to do?", ("play with her toys", "toys her with play", "of the the and"), 0),
        Question("2", "Where did the little dog run?", ("to the park", "park the to"), 0),
    ]
    encoded = encode(tokenizer, prompt("cloze"), asked)
    found = score(trained, encoded, 64).scores
    close(found, [[alone(trained, choice, 512) for choice in choices] for choices in encoded])
    assert [row.index(max(row)) for row in found] == [0, 0]
