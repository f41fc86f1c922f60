"""Numbers as sentences."""

import json

import pytest

from mcqa.compare import sentences
from mcqa.evaluation.statistics.seeds import seed_deviation_allowed
from tests.compare.finished_runs import answered, compared, make_run


@pytest.mark.parametrize(
    ("questions", "seeds", "text"),
    [
        (2, False, "+2"),
        (-3, False, "−3"),
        (0.0, False, "0"),
        (2 / 3, True, "+0.7"),
        (-2, True, "−2.0"),
        (0.04, True, "0.0"),
    ],
)
def test_a_net_change_is_whole_for_single_runs_and_has_a_decimal_over_seeds(questions, seeds, text):
    assert sentences.net(questions, seeds) == text


def test_over_seeds_flips_are_shown_with_the_net_that_is_the_difference(tmp_path):
    """One question is newly right in two of three seeds; three lose a seed each: 2/3 - 1 of 4 questions."""
    after = [[True, False, True, True], [True, True, False, True], [False, True, True, False]]
    runs = [make_run(tmp_path, f"a{i}", [False, True, True, True], seed=i, peft__rank=1) for i in range(3)]
    runs += [make_run(tmp_path, f"b{i}", right, seed=i, peft__rank=2) for i, right in enumerate(after)]
    found = compared(*runs)
    assert sentences.flips(found, found.pairs[0]) == "+1 −0 (net −0.3)"
    assert found.pairs[0].counts.net / 4 == pytest.approx(found.pairs[0].difference.estimate)


def test_a_significant_difference_and_one_that_is_not_have_their_sentences(tmp_path):
    bad = make_run(tmp_path, "a", [False] * 60 + [True] * 60, peft__rank=1)
    good = make_run(tmp_path, "b", [True] * 100 + [False] * 20, peft__rank=2)
    same = make_run(tmp_path, "c", [False] * 59 + [True] * 61, peft__rank=3)
    clear, noise = compared(bad, good), compared(bad, same)
    low, high = clear.pairs[0].difference.low, clear.pairs[0].difference.high
    assert sentences.verdict(clear) == (
        "The run with rank=2 is significantly better than the run with rank=1 (+33.3 points, 95 % CI "
        f"{100 * low:.1f} to {100 * high:.1f}, p < 0.0001; one seed each, so this is about these runs, "
        "not their configurations)."
    )
    smallest = noise.pairs[0].difference.minimum_detectable_difference
    assert sentences.verdict(noise).startswith(
        "No statistically significant difference between the run with rank=3 and the run with rank=1 (+0.8 points, "
    )
    assert sentences.verdict(noise).endswith(
        f"; minimum detectable difference {100 * smallest:.1f} points (80 % power); one seed each, so this is about "
        "these runs, not their configurations)."
    )


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ([{"seed": 0}, {"seed": 1}], None),
        (
            [{"order_seed": 1}, {"order_seed": 2}],
            "one seed: their variance leaves out that of initialisation and dropout.",
        ),
        (
            [{"seed": 0, "order_seed": 5}, {"seed": 1, "order_seed": 5}],
            "one order_seed: their variance leaves out that of the order of questions.",
        ),
    ],
)
def test_seeds_of_one_part_of_chance_say_what_their_variance_leaves_out(seeds, told, tmp_path):
    runs = [
        make_run(tmp_path, f"r{rank}-{n}", [i < rank + n for i in range(60)], peft__rank=rank, **own)
        for rank in (20, 40)
        for n, own in enumerate(seeds)
    ]
    found = [note for note in sentences.notes(compared(*runs)) if "share one" in note]
    assert found == ([] if told is None else [f"The seeds of rank=20 and rank=40 share {told}"])


def test_one_seed_each_says_what_seed_variance_the_result_would_bear_and_how_to_have_three(tmp_path):
    runs = [
        make_run(tmp_path, name, [True] * right + [False] * (120 - right), seed=4, peft__rank=right)
        for name, right in (("a", 60), ("b", 100))
    ]
    found = compared(*runs)
    its = found.pairs[0].difference
    allowed = 100 * seed_deviation_allowed(its.estimate, its.p, 2)
    (note,) = (note for note in sentences.notes(found) if note.startswith("One seed each"))
    assert f" Significant up to a seed standard deviation of {allowed:.2g} points." in note
    first, second = (run.shown for configuration in found.configurations for run in configuration.runs)
    assert note.endswith(
        f" Compare three seeds each: python -m mcqa.train --multirun from_run={first} seed=5,6; python -m mcqa.train "
        f"--multirun from_run={second} seed=5,6"
    )


def test_the_verdict_says_how_many_seeds_there_are_and_is_then_about_configurations(tmp_path):
    def runs(rank, rights):
        return [make_run(tmp_path, f"r{rank}{i}", right, seed=i, peft__rank=rank) for i, right in enumerate(rights)]

    low, high = [[i % 10 > s for i in range(200)] for s in (4, 5)], [[i % 20 > s for i in range(200)] for s in (0, 1)]
    several = sentences.verdict(compared(*runs(1, low), *runs(2, high)))
    assert several.startswith("rank=2 ") and several.endswith("; 2 seeds each).") and "these runs" not in several
    one = sentences.verdict(compared(*runs(3, low[:1]), *runs(4, high)))
    assert one.endswith("; one seed of rank=3, taken to vary as the other side's).")
    base = sentences.verdict(compared(make_run(tmp_path, "tuned", high[0], base=low[0])))
    assert base.startswith("The fine-tuned model is significantly better than the base model (")
    assert base.endswith("; one seed, so this is about this run, not its configuration).")


def test_scores_that_are_no_number_are_in_the_notes(tmp_path):
    rows = answered([True, True])
    broken = [rows[0], type(rows[1])(rows[1].question, (float("nan"),) * 4, (1,) * 4)]
    found = compared(make_run(tmp_path, "a", rows, peft__rank=1), make_run(tmp_path, "b", broken, peft__rank=2))
    assert "rank=2: scores of 1 question are not a number; they count as wrong." in sentences.notes(found)


def test_what_a_run_says_against_the_questions_of_the_split_is_in_the_notes_once(tmp_path):
    runs = [make_run(tmp_path, name, [True, False] * 10, peft__rank=len(name)) for name in ("a", "bb")]
    for run in runs:
        warnings = ["test: 3 of 20 questions are in train too.", "dev: 9 of 20 questions are in train too."]
        (run / "result.json").write_text(json.dumps({"status": "complete", "warnings": warnings}))
    told = [note for note in sentences.notes(compared(*runs)) if "in train too" in note]
    assert told == ["test: 3 of 20 questions are in train too."]


def test_a_first_look_is_in_the_notes(tmp_path):
    look, limit = {"test": {"questions": 2, "of": 30}}, {"evaluation__test_limit": 2}
    rows = answered([True, False])
    runs = [
        make_run(tmp_path, name, rows, rows, first_look=look, peft__rank=len(name), **limit) for name in ("a", "bb")
    ]
    note = "A first look: 2 of 30 questions were measured (evaluation.test_limit)."
    assert note in sentences.notes(compared(*runs))
    assert note in sentences.notes(compared(runs[0]))
    whole = make_run(tmp_path, "whole", rows, rows)
    assert "first look" not in str(sentences.notes(compared(whole)))
    alone = make_run(tmp_path, "alone", rows, rows, evaluation__before=False)
    told = "Of some runs the base was not measured (evaluation.before=false)."
    assert told in sentences.notes(compared(alone)) and told not in sentences.notes(compared(whole))


@pytest.mark.parametrize("damaged", [{"test": 5}, {"test": {"of": "many"}}, {"dev": None}])
def test_a_damaged_note_of_a_first_look_stops_no_comparison(tmp_path, damaged):
    rows = answered([True, False])
    sentences.notes(compared(make_run(tmp_path, "a", rows, rows, first_look=damaged)))


def test_what_was_measured_names_clusters_where_there_are(tmp_path):
    rows = answered([True, False], context="shared")
    found = compared(make_run(tmp_path, "a", rows, base=rows), metric="acc_norm")
    assert (
        sentences.measured(found)
        == "acc_norm on test, 2 questions in 1 cluster of related questions; guessing gives 25.0 %"
    )
