"""General text: what is held out, and what replay may draw."""

import pytest

from mcqa.config.errors import DataError
from mcqa.data.general_texts import MOST_HELD_OUT, Replay, divided, replay_of
from mcqa.data.loading import load_inputs
from tests.small_runs import configured

TEXTS = [f"Text {number}." for number in range(95)]


def test_a_tenth_is_held_out_by_hash_and_never_replayed():
    general = divided([*TEXTS, *TEXTS], [])
    held_out = {one.text for one in general.held_out}
    assert len(held_out) == 10
    assert held_out.isdisjoint(general.for_replay) and held_out | {*general.for_replay} == {*TEXTS}
    assert {one.text for one in divided(TEXTS[::-1], []).held_out} == held_out
    assert len({one.id for one in general.held_out}) == 10


def test_no_more_are_held_out_than_measuring_them_again_and_again_needs():
    general = divided([f"Text {number}." for number in range(10_000)], [])
    assert len(general.held_out) == MOST_HELD_OUT and len(general.for_replay) == 10_000 - MOST_HELD_OUT


def test_what_is_trained_on_anyway_is_not_held_out():
    first = {one.text for one in divided(TEXTS, []).held_out}
    then = {one.text for one in divided(TEXTS, sorted(first)).held_out}
    assert len(then) == 10 and first.isdisjoint(then)
    with pytest.raises(DataError, match="data.general_texts: all 95 texts are in data.texts too"):
        divided(TEXTS, TEXTS)


@pytest.mark.parametrize(("examples", "share", "count"), [(90, 0.1, 10), (92, 0.1, 10), (10, 0.5, 10), (3, 0.01, 1)])
def test_the_share_is_of_all_examples_of_an_epoch(examples, share, count):
    assert Replay(TEXTS, share, 0).count(examples) == count


def test_other_seeds_and_epochs_draw_other_windows_and_the_same_ones_draw_the_same():
    drawn = [Replay(TEXTS, 0.5, seed).epoch(50, 10, number) for seed, number in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert drawn[0] == drawn[1] and len({tuple(one) for one in drawn}) == 3
    assert not set(drawn[0]) & set(drawn[2])


def test_a_single_text_is_held_out_and_leaves_nothing_to_replay(tmp_path):
    (tmp_path / "one.txt").write_text("All of it is one line.\n")
    config, _ = configured([f"data.general_texts={tmp_path}/one.txt", "objective.replay_share=0.1"])
    data, _ = load_inputs(config)
    assert [one.text for one in data.general.held_out] == ["All of it is one line."]
    with pytest.raises(DataError, match="has a single text, which is held out"):
        replay_of(config, data.general)


def test_an_error_names_the_key_of_general_text():
    config, _ = configured(["data.general_texts=nowhere.txt"])
    with pytest.raises(DataError, match="data.general_texts=nowhere.txt"):
        load_inputs(config)


def test_texts_that_the_objective_reads_are_not_held_out(tmp_path):
    (tmp_path / "general.txt").write_text("\n".join(TEXTS))
    (tmp_path / "own.txt").write_text("\n".join(one.text for one in divided(TEXTS, []).held_out))
    given = [f"data.general_texts={tmp_path}/general.txt", f"data.texts={tmp_path}/own.txt"]
    read = {name: load_inputs(configured([*given, f"objective={name}"])[0])[0].general for name in ("sft", "mixed")}
    held_out = {name: {one.text for one in general.held_out} for name, general in read.items()}
    assert held_out["sft"].isdisjoint(held_out["mixed"])
