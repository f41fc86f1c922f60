"""The report's files: right at the end, right before it, and each written whatever becomes of the others."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mcqa.config.errors import ConfigError
from mcqa.sweep.report import write
from tests.sweep.report.recorded_studies import (
    FACTOR_VALUES,
    FACTORS,
    SPACE,
    Written,
    factor_study,
    make_study,
    mixed_study,
    params,
)

ROOT = Path(__file__).parents[3]


def table(folder, name="trials.csv"):
    with (folder / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_trials_csv_has_a_line_a_trial_with_its_parameters_by_their_keys(tmp_path):
    folder = mixed_study(tmp_path)
    write.write_report(folder)
    rows = table(folder)
    assert list(rows[0]) == [*write.COLUMNS_BEFORE, *SPACE, *write.COLUMNS_AFTER]
    assert [row["status"] for row in rows] == ["complete", "complete", "pruned", "failed", "running", "waiting"]
    assert [row["value"] for row in rows] == ["0.7", "0.75", "", "", "", ""]
    assert rows[1]["optimizer.learning_rate"] == "0.002" and rows[1]["peft.rank"] == "16"
    assert rows[0]["seconds"] == "30.0" and rows[3]["attempts"] == "3" and rows[5]["started"] == ""
    assert rows[3]["error"] == "OutOfMemoryError: 2 GiB"
    assert [row["last_point"] for row in rows] == ["200", "100", "100", "", "100", ""]
    assert [row["tied"] for row in rows] == ["True", "", "", "", "", ""]


def test_a_parameter_with_the_name_of_a_column_has_a_column_of_its_own(tmp_path):
    trials = [Written(params={"seed": i}, value=0.5) for i in range(2)]
    folder = make_study(tmp_path, trials, space={"seed": "1,2"})
    for number in range(2):  # without the storage keys are free
        (folder / f"trials/{number}/overrides.yaml").write_text(f"[seconds={number + 7}]")
    (folder / "journal.log").unlink()
    text = (folder / "study.yaml").read_text().replace("seed: 1,2", "seconds: 7,8")
    (folder / "study.yaml").write_text(text)
    write.write_report(folder)
    assert [row["params.seconds"] for row in table(folder)] == ["7", "8"]


def test_results_are_in_the_format_of_hydras_optuna_sweeper(tmp_path):
    folder = mixed_study(tmp_path)
    write.write_report(folder)
    assert yaml.safe_load((folder / "optimization_results.yaml").read_text()) == {
        "name": "optuna", "best_params": params(0.002, 16), "best_value": 0.75,
    }  # fmt: skip


def test_the_summary_says_what_the_page_says(tmp_path):
    summary = write.write_report(mixed_study(tmp_path))
    assert (summary.best, summary.value, summary.tied) == (1, 0.75, (0,))
    assert summary.counts == {"complete": 2, "pruned": 1, "failed": 1, "running": 1, "paused": 0, "waiting": 1}
    assert [path.name for path in summary.files] == [
        "trials.csv", "importances.csv", "optimization_results.yaml", "best.yaml", "report.html",
    ]  # fmt: skip
    assert summary.problems == ()


@pytest.mark.parametrize(("direction", "sign"), [("maximize", -1), ("minimize", 1)])
def test_importances_find_the_parameter_that_matters(tmp_path, direction, sign):
    trials = [
        Written(params=params(0.0001 * 1.2**i, (4, 8, 16)[i % 3]), value=sign * abs(i - 10) ** 2.0) for i in range(24)
    ]
    folder = make_study(tmp_path, trials, metric="score", direction=direction)
    weights = write.write_report(folder).importances
    assert list(weights) == ["optimizer.learning_rate", "peft.rank"] and sum(weights.values()) == pytest.approx(1)
    assert [row["parameter"] for row in table(folder, "importances.csv")] == list(weights)


def test_of_a_factor_the_files_have_the_value_that_it_came_to(tmp_path):
    folder = factor_study(tmp_path, 20, 30, 40, 90, 60)
    write.write_report(folder)
    rows = table(folder)
    assert [(float(row["optimizer.beta"]), float(row["optimizer.beta (factor)"])) for row in rows] == [
        *zip(FACTOR_VALUES, FACTORS, strict=True)
    ]
    assert yaml.safe_load((folder / "optimization_results.yaml").read_text())["best_params"] == {"optimizer.beta": 0.06}
    assert yaml.safe_load((folder / "best.yaml").read_text())["optimizer"]["beta"] == 0.06
    assert "0.06 (3 ×)" in (folder / "report.html").read_text()


def test_a_factor_whose_value_is_unknown_is_in_no_configuration(tmp_path):
    folder = factor_study(tmp_path, 20, 90, 40)
    (folder / "trials" / "1" / "overrides.yaml").unlink()
    write.write_report(folder)
    assert table(folder)[1]["optimizer.beta"] == "" and table(folder)[1]["optimizer.beta (factor)"] == "0.3"
    assert "beta" not in (folder / "best.yaml").read_text()


def test_without_the_storage_only_values_are_known(tmp_path):
    folder = factor_study(tmp_path, 20, 90, 40, journal=False)
    write.write_report(folder)
    assert [float(row["optimizer.beta"]) for row in table(folder)] == [*FACTOR_VALUES[:3]]
    assert "optimizer.beta (factor)" not in table(folder)[0]


# --- at any time ------------------------------------------------------------------------------------------------------


def test_a_study_is_only_read(tmp_path):
    folder = mixed_study(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write.write_report(folder)
    assert {path: path.read_bytes() for path in before} == before
    assert not list(folder.rglob("*.partial")) and not list(folder.rglob("*.lock"))


def test_a_second_report_replaces_the_first(tmp_path):
    folder = mixed_study(tmp_path)
    assert write.write_report(folder).files == write.write_report(folder).files
    assert not (folder / "journal.log.lock").exists()


@pytest.mark.parametrize("count", [0, 1])
def test_a_study_that_has_hardly_begun_has_a_report(tmp_path, count):
    folder = make_study(tmp_path, [Written("running")] * count)
    summary = write.write_report(folder)
    assert summary.best is None and summary.verdict.startswith("No trial is complete")
    assert len(table(folder)) == count
    assert not (folder / "best.yaml").exists()
    assert yaml.safe_load((folder / "optimization_results.yaml").read_text())["best_value"] is None


def test_trials_that_return_nothing_are_complete_without_a_best(tmp_path):
    summary = write.write_report(make_study(tmp_path, [Written(), Written()], journal=False))
    assert summary.verdict == "No complete trial returned a value: 2 complete." and summary.best is None


def test_a_study_of_seeds_has_no_best_experiment(tmp_path):
    trials = [Written(params={"seed": i}, value=0.5 + i / 100) for i in range(3)]
    folder = make_study(tmp_path, trials, space={"seed": "0,1,2"})
    assert write.write_report(folder).verdict.startswith("3 seeds of one configuration")
    assert not (folder / "best.yaml").exists()


def test_a_page_that_cannot_be_made_costs_no_other_file(tmp_path, monkeypatch):
    folder = make_study(tmp_path, [Written(value=0.5)])
    monkeypatch.setattr(write, "page", lambda *_: 1 / 0)
    summary = write.write_report(folder)
    assert "report.html could not be made: ZeroDivisionError" in summary.problems[-1]
    assert (folder / "trials.csv").exists() and not (folder / "report.html").exists()


def test_a_folder_without_a_study_is_refused_with_those_below_it(tmp_path):
    folder = mixed_study(tmp_path)
    with pytest.raises(ConfigError, match="is not a study folder: .* Studies below it: .*core-qlora_mcqa"):
        write.write_report(folder.parent)
    with pytest.raises(ConfigError, match="Studies are in outputs/sweeps"):
        write.write_report(tmp_path / "nowhere")


@pytest.mark.slow
def test_the_command_prints_the_verdict_and_ends_without_a_traceback(tmp_path):
    folder = mixed_study(tmp_path)
    command = [sys.executable, "-m", "mcqa.sweep.report"]
    good = subprocess.run([*command, str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert good.returncode == 0 and "Trial 1 has the best dev/acc, 75.0 %" in good.stdout, good.stderr
    bad = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert bad.returncode == 1 and "is not a study folder" in bad.stderr and "Traceback" not in bad.stderr
