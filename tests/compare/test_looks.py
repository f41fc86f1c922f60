"""Which look a comparison is at the same configurations, with other seeds each time."""

from dataclasses import replace

import pytest

from mcqa.compare import looks, sentences
from tests.compare.finished_runs import asked, compared, grouped, make_run

RIGHT = [True, False, True, True]


@pytest.fixture
def runs(tmp_path):
    """By name: a0 is the first seed of rank 8."""
    ranks = {"a": 8, "b": 16, "c": 32}
    return {
        f"{name}{seed}": make_run(tmp_path, f"{name}{seed}", RIGHT, base=RIGHT[::-1], seed=seed, peft__rank=rank)
        for name, rank in ranks.items()
        for seed in range(4)
    }


@pytest.fixture
def look(runs, tmp_path):
    def look(names, out="one", **given):
        given = {"out": str(tmp_path / "outputs" / "compare" / out), "outputs": str(tmp_path / "outputs")} | given
        chosen = [runs[name] for name in names.split()]
        options, found = asked(*chosen, **given), grouped(*chosen, **given)
        number = looks.number(found, options)
        options.out.mkdir(parents=True, exist_ok=True)
        looks.add(found, options)
        return number

    return look


@pytest.mark.parametrize(
    ("comparisons", "numbers"),
    [
        (["a0 b0", "a0 b0 a1 b1", "a0 b0 a1 b1 a2 b2"], [1, 2, 3]),  # added until it is significant
        (["a0 b0", "a0 b1"], [1, 2]),  # or exchanged
        (["a0 b0", "b0 a0", "a0 b0"], [1, 1, 1]),  # the same runs again
        (["a0 b0", "a0 c0", "b1 c1"], [1, 1, 1]),  # other configurations
        (["a0 b0", "a0 b0 c0", "a0 b0 b1 c0"], [1, 1, 2]),
        (["a0", "a0 a1", "a0 a1 a2"], [1, 2, 3]),  # before and after training
    ],
)
def test_other_seeds_of_the_same_configurations_are_another_look(comparisons, numbers, look):
    assert [look(names) for names in comparisons] == numbers


def test_looks_are_counted_over_the_folders_of_comparisons(look, tmp_path):
    assert [look("a0 b0", out="one"), look("a0 b0 a1 b1", out="two")] == [1, 2]
    assert look("a0 b0 a2", out=str(tmp_path / "elsewhere" / "x")) == 3
    assert look("a0 b0 a3", out=str(tmp_path / "elsewhere" / "x")) == 4


def test_other_questions_are_no_look_at_these(look):
    assert [look("a0 b0"), look("a0 b0 a1 b1", split="base/test")] == [1, 1]


def test_lines_that_are_no_looks_are_left_out(look, tmp_path):
    look("a0 b0")
    file = tmp_path / "outputs" / "compare" / "one" / looks.FILE
    file.write_bytes(file.read_bytes() + b'\xff\n3\n{"configurations": 3}\n{"configurations": {"x": 1}}\n{"configurat')
    assert [look("a0 b0 a1 b1"), look("a0 b0 a1 b1 b2")] == [2, 3]


def test_a_later_look_says_so_and_what_accounts_for_it(runs):
    first = compared(runs["a0"], runs["b0"])
    assert not [note for note in sentences.notes(first) if "look number" in note]
    (note,) = (note for note in sentences.notes(replace(first, look=3)) if "look number" in note)
    assert note.startswith("This is look number 3 at these configurations, with other seeds each time: p-values and ")
    assert all(text in note for text in ("plan=", "+sweeps=seeds", "hydra.sweeper.confirm=3"))
