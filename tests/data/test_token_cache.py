"""Texts are tokenised once a study."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcqa.data import token_cache


class Counting:
    """A tokenizer of letters that remembers what it was asked."""

    eos_token_id = 0

    def __init__(self):
        self.asked = []

    def __call__(self, texts, *, add_special_tokens):
        self.asked += texts
        return {"input_ids": [[1] * add_special_tokens + [ord(letter) for letter in text] for text in texts]}


@given(st.lists(st.text(max_size=5), max_size=8), st.booleans())
def test_tokens_are_those_of_the_tokenizer_and_no_text_is_tokenised_twice(tmp_path_factory, texts, special):
    path = tmp_path_factory.mktemp("study") / "shared" / "tokens.npz"
    wanted = Counting()(texts, add_special_tokens=special)
    for asked in (len(set(texts)), 0):
        tokenizer = Counting()
        with token_cache.shared_tokenizer(tokenizer, path) as reading:
            assert reading(texts, add_special_tokens=special) == wanted
            assert reading(texts, add_special_tokens=special) == wanted
            assert reading.eos_token_id == 0
        assert len(tokenizer.asked) == asked


def test_what_a_later_trial_needs_more_is_added(tmp_path):
    path = tmp_path / "tokens.npz"
    for texts in (["a", "b"], ["b", "c"], ["a", "b", "c"]):
        tokenizer = Counting()
        with token_cache.shared_tokenizer(tokenizer, path) as reading:
            reading(texts, add_special_tokens=False)
            reading(texts, add_special_tokens=True)
    assert tokenizer.asked == []


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04", None])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    path = tmp_path / "tokens.npz"
    np.savez(path, keys=np.zeros(16, np.uint8)) if damage is None else path.write_bytes(damage)
    for asked in (["a"], []):
        tokenizer = Counting()
        with token_cache.shared_tokenizer(tokenizer, path) as reading:
            assert reading(["a"], add_special_tokens=False) == {"input_ids": [[97]]}
        assert tokenizer.asked == asked


def test_a_failure_leaves_no_lock_behind(tmp_path):
    path = tmp_path / "tokens.npz"
    with pytest.raises(RuntimeError), token_cache.shared_tokenizer(Counting(), path):
        raise RuntimeError
    with token_cache.shared_tokenizer(Counting(), path) as reading:
        reading(["a"], add_special_tokens=False)
    assert path.exists()
