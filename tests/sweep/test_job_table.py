"""The table at the end of a product has what differs, what was measured, and the command that compares."""

from mcqa.sweep.controller.events import Outcome
from mcqa.sweep.job_table import lines

JOBS = [["data=arc_easy", f"seed={seed}"] for seed in (1, 2, 3)]


def measured(value, folder):
    names = {"acc": value, "acc_ci_low": value - 0.1, "acc_ci_high": value + 0.1}
    return {"metrics": {f"{split}/{key}": v for split in ("dev", "test") for key, v in names.items()}, "folder": folder}


def test_a_row_has_what_differs_and_the_accuracies_with_their_intervals():
    results = {0: measured(0.5, "/runs/a"), 1: measured(0.25, "/runs/b"), 2: {}}
    outcomes = {n: Outcome("complete", 0.5, None) for n in (0, 1)} | {2: Outcome("failed", None, "no")}
    head, first, second, failed, *rest = lines(JOBS, results, outcomes)
    assert head.split("  ")[0] == "job" and "dev/acc (95 % interval)" in head and "test/acc" in head
    assert "seed=1" in first and "data=arc_easy" not in first and "50.0 % (40.0 – 60.0 %)" in first
    assert second.endswith("complete  /runs/b") and failed.split() == ["2", "seed=3", "–", "–", "failed", "–"]
    assert rest == ["Compare them:", "  python -m mcqa.compare /runs/a /runs/b"]


def test_another_application_has_the_values_that_it_returns_and_nothing_to_compare():
    table = lines([["x=1"], ["x=2"]], {0: {}, 1: {}}, {n: Outcome("complete", n / 3, None) for n in (0, 1)})
    assert [line.split() for line in table[1:]] == [
        ["0", "x=1", "0", "complete", "–"],
        ["1", "x=2", "0.333333", "complete", "–"],
    ]
