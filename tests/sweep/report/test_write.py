"""The report's files: right at the end, right on the way, and never stopped by a damaged file."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from mcqa.config.errors import ConfigError
from mcqa.sweep.report import write
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import BASE, NOW, SPACE, START, Written, exactly, make_study

ROOT = Path(__file__).parents[3]
CONF = str(ROOT / "conf")


def params(rate, r=8):
    return {"optimizer.learning_rate": rate, "peft.rank": r}


def study(root, **changes):
    """A default, a better one, one pruned, one failed, one running, one waiting."""
    trials = [
        Written(right=exactly(56, 80, 20), params=params(0.001), reports=[(100, 0.3), (200, 0.6)], seconds=30),
        Written(right=exactly(60, 80, 3), params=params(0.002, 16), started=5, reports=[(100, 0.4)]),
        Written("pruned", params=params(0.01, 4), reports=[(100, 0.1)], started=40),
        Written("failed", params=params(0.009), error="OutOfMemoryError: 2 GiB", attempts=3),
        Written("running", params=params(0.003), reports=[(100, 0.5)]),
        Written("waiting", params=params(0.004), attempts=0),
    ]
    return make_study(root, trials, **changes)


def table(folder, name="trials.csv"):
    with (folder / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_one_line_a_trial_with_its_parameters_by_their_keys(tmp_path):
    folder = study(tmp_path)
    write.write_report(folder)
    rows = table(folder)
    assert list(rows[0]) == [*write.COLUMNS, "value", *SPACE, *write.AFTER]
    assert [row["status"] for row in rows] == ["complete", "complete", "pruned", "failed", "running", "waiting"]
    assert [row["value"] for row in rows] == ["0.7", "0.75", "", "", "", ""]
    assert rows[1]["optimizer.learning_rate"] == "0.002" and rows[1]["peft.rank"] == "16"
    assert rows[0]["seconds"] == "30.0" and rows[3]["attempts"] == "3" and rows[5]["started"] == ""
    assert rows[3]["error"] == "OutOfMemoryError: 2 GiB"
    assert [row["last_point"] for row in rows] == ["200", "100", "100", "", "100", ""]
    assert [row["tied"] for row in rows] == ["True", "", "", "", "", ""]


def test_a_parameter_that_is_called_like_a_column_keeps_its_own(tmp_path):
    trials = [Written(params={"seed": i}, value=0.5) for i in range(2)]
    folder = make_study(tmp_path, trials, space={"seed": "1,2"})
    for number in range(2):  # without the storage keys are free
        (folder / f"trials/{number}/overrides.yaml").write_text(f"[seconds={number + 7}]")
    (folder / "journal.log").unlink()
    text = (folder / "study.yaml").read_text().replace("seed: 1,2", "seconds: 7,8")
    (folder / "study.yaml").write_text(text)
    write.write_report(folder)
    assert [row["params.seconds"] for row in table(folder)] == ["7", "8"]


def test_results_are_as_hydras_optuna_sweeper_leaves_them(tmp_path):
    folder = study(tmp_path)
    write.write_report(folder)
    assert yaml.safe_load((folder / "optimization_results.yaml").read_text()) == {
        "name": "optuna", "best_params": params(0.002, 16), "best_value": 0.75,
    }  # fmt: skip


def test_of_several_objectives_the_results_are_those_that_none_beats(tmp_path):
    values = [(0.5, 10.0), (0.7, 20.0), (0.4, 15.0)]
    trials = [Written(value=value, params=params(0.001 * (i + 1))) for i, value in enumerate(values)]
    folder = make_study(tmp_path, trials, metric=["dev/acc", "seconds"], directions=["maximize", "minimize"])
    summary = write.write_report(folder)
    found = yaml.safe_load((folder / "optimization_results.yaml").read_text())
    assert [one["values"] for one in found["solutions"]] == [[0.5, 10.0], [0.7, 20.0]]
    assert summary.front == (0, 1) and summary.best is None
    assert summary.verdict == "2 trials of 3 complete ones are beaten by no other in all of dev/acc and seconds."
    assert table(folder)[0].items() >= {"dev/acc": "0.5", "values.seconds": "10.0", "seconds": "60.0"}.items()
    assert "# Trial 1 of core-qlora_mcqa: dev/acc = 70.0 %, seconds = 20\n" in (folder / "best.yaml").read_text()


def test_the_summary_says_what_the_page_says(tmp_path):
    summary = write.write_report(study(tmp_path))
    assert (summary.best, summary.values, summary.tied) == (1, (0.75,), (0,))
    assert summary.counts == {"complete": 2, "pruned": 1, "failed": 1, "running": 1, "waiting": 1}
    assert [path.name for path in summary.files] == [
        "trials.csv", "importances.csv", "optimization_results.yaml", "best.yaml", "report.html",
    ]  # fmt: skip
    assert summary.problems == ()


def test_importances_find_the_parameter_that_matters(tmp_path):
    trials = [Written(params=params(0.0001 * 1.2**i, (4, 8, 16)[i % 3]), value=-abs(i - 10)) for i in range(24)]
    folder = make_study(tmp_path, trials, metric="score")
    summary = write.write_report(folder)
    weights = summary.importances["score"]
    assert list(weights) == ["optimizer.learning_rate", "peft.rank"] and sum(weights.values()) == pytest.approx(1)
    assert [row["parameter"] for row in table(folder, "importances.csv")] == list(weights)


# --- at any time ------------------------------------------------------------------------------------------------------


def test_a_study_is_only_read(tmp_path):
    folder = study(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write.write_report(folder)
    assert {path: path.read_bytes() for path in before} == before
    assert not list(folder.rglob("*.partial")) and not list(folder.rglob("*.lock"))


def test_a_second_report_takes_the_place_of_the_first(tmp_path):
    folder = study(tmp_path)
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


def test_a_result_counts_before_the_storage_is_told(tmp_path):
    folder = make_study(tmp_path, [Written(right=exactly(5, 10), told=False), Written("failed", error="x", told=False)])
    found = read_study(folder, NOW).trials
    assert [trial.status for trial in found] == ["complete", "failed"]
    assert found[0].values == (0.5,) and found[1].error == "x"


def test_trials_that_return_nothing_are_complete_without_a_best(tmp_path):
    summary = write.write_report(make_study(tmp_path, [Written(), Written()], journal=False))
    assert summary.verdict == "No complete trial told a value: 2 complete." and summary.best is None


def test_a_preempted_trial_waits(tmp_path):
    assert read_study(make_study(tmp_path, [Written("preempted")]), NOW).trials[0].status == "waiting"


def test_a_running_trial_has_run_until_its_last_sign_of_life(tmp_path):
    folder = make_study(tmp_path, [Written("running")])
    assert read_study(folder, NOW).trials[0].seconds == NOW - START
    (folder / "trials/0/heartbeat").touch()
    os.utime(folder / "trials/0/heartbeat", (START + 90, START + 90))
    assert read_study(folder, NOW).trials[0].seconds == 90


def test_of_a_point_that_was_reported_twice_the_first_counts(tmp_path):
    folder = make_study(tmp_path, [Written(value=0.5, reports=[(100, 0.1), (200, 0.2), (100, 0.9)])])
    assert read_study(folder, NOW).trials[0].reports == ((100, 0.1), (200, 0.2))


# --- damage -----------------------------------------------------------------------------------------------------------


def half(path):
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("study.yaml", "study.yaml lacks "),
        ("trials/0/result.json", "trials/0/result.json cannot be read"),
        ("trials/1/job.json", "trials/1/job.json cannot be read"),
        ("trials/1/predictions/dev.jsonl", "trials/1 has no readable predictions/dev.jsonl|dev.jsonl is damaged"),
    ],
)
def test_a_half_written_file_is_named_and_the_rest_is_told(tmp_path, name, said):
    folder = study(tmp_path)
    half(folder / name)
    summary = write.write_report(folder)
    told = [*summary.problems, *summary.notes]
    assert any(part in one for one in told for part in said.split("|"))
    assert summary.counts["complete"] == 2 and summary.best == 1
    assert (folder / "report.html").stat().st_size > 20_000


def test_lines_of_reports_that_cannot_be_read_are_left_out_and_named(tmp_path):
    folder = study(tmp_path)
    lines = (
        '{"point": 100, "value": 0.4}\n{"point": 2\nnull\n{"point": 300, "value": NaN}\n{"point": 400, "value": 1.0}\n'
    )
    (folder / "trials/1/reports.jsonl").write_text(lines + '{"poi')
    found = read_study(folder, NOW)
    assert found.trials[1].reports == ((100, 0.4), (400, 1.0))
    assert found.problems == ("Lines of reports.jsonl that cannot be read were left out: trials 1.",)


def test_a_line_that_is_just_being_written_is_no_damage(tmp_path):
    folder = study(tmp_path)
    with (folder / "trials/4/reports.jsonl").open("a") as lines:
        lines.write('{"point": 2')
    with (folder / "journal.log").open("a") as lines:
        lines.write('{"op_code": 6, "worker')
    assert read_study(folder, NOW).problems == ()


def test_without_its_storage_a_study_is_read_from_the_trials_folders(tmp_path):
    whole, folder = study(tmp_path / "a"), study(tmp_path / "b")
    lines = (folder / "journal.log").read_text().splitlines()
    (folder / "journal.log").write_text("\n".join([lines[0][:30], *lines[1:]]) + "\n")
    told, without = read_study(whole, NOW), read_study(folder, NOW)
    assert "The study's storage cannot be read" in without.problems[0]
    for one, other in zip(told.trials, without.trials, strict=True):
        assert (one.status, one.values, one.params) == (other.status, other.values, other.params)
        assert (one.reports, one.started, one.error) == (other.reports, other.started, other.error)
    assert [(one.key, one.log) for one in without.swept] == [(one.key, one.log) for one in told.swept]
    assert write.write_report(folder).best == 1


def test_a_sqlite_storage_that_is_gone_is_not_created(tmp_path):
    folder = study(tmp_path)
    with (folder / "study.yaml").open("a") as text:
        text.write(f"storage: sqlite:///{tmp_path}/gone.db\n")
    assert "there is no" in read_study(folder, NOW).problems[0]
    assert not (tmp_path / "gone.db").exists()


def test_a_folder_without_a_study_is_refused_with_those_below_it(tmp_path):
    folder = study(tmp_path)
    with pytest.raises(ConfigError, match="is no study folder: .* Studies below it: .*core-qlora_mcqa"):
        write.write_report(folder.parent)
    with pytest.raises(ConfigError, match="Studies lie in outputs/sweeps"):
        write.write_report(tmp_path / "nowhere")


def test_the_door_prints_the_verdict_and_ends_without_a_traceback(tmp_path):
    folder = study(tmp_path)
    command = [sys.executable, "-m", "mcqa.sweep.report"]
    good = subprocess.run([*command, str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert good.returncode == 0 and good.stdout.startswith("Trial 1 has the best dev/acc, 75.0 %"), good.stderr
    bad = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert bad.returncode == 1 and "is no study folder" in bad.stderr and "Traceback" not in bad.stderr


# --- best.yaml --------------------------------------------------------------------------------------------------------


def ran(folder, number, overrides):
    """The trial's files as a submission leaves them, composed from the project's own configuration."""
    with initialize_config_dir(config_dir=CONF, version_base=None):
        found = compose("config", overrides=overrides, return_hydra_config=True)
    tree = OmegaConf.to_container(found, resolve=False)
    hydra = {
        "job": {"config_name": "config"},
        "runtime": {
            "choices": tree["hydra"]["runtime"]["choices"],
            "config_sources": tree["hydra"]["runtime"]["config_sources"],
        },
    }
    OmegaConf.set_struct(found, False)
    del found["hydra"]
    where = folder / "trials" / str(number)
    (where / "config.yaml").write_text(yaml.safe_dump(OmegaConf.to_container(found, resolve=True)))
    (where / "hydra.yaml").write_text(yaml.safe_dump(hydra))
    (where / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return OmegaConf.to_container(found, resolve=True)


def again(folder, *more):
    with initialize_config_dir(config_dir=CONF, version_base=None):
        found = compose("config", overrides=[f"hydra.searchpath=[file://{folder}]", "+experiment=best", *more])
    return OmegaConf.to_container(found, resolve=True)


def test_the_best_trial_runs_again_as_it_ran(tmp_path):
    given = ["+experiment=qlora_mcqa", "model=scratch", "data.limit=32", "+sweeps=learning_rate", "seed=4"]
    folder = study(tmp_path, overrides=given, base=BASE | {"objective": {}})
    wanted = ran(folder, 1, [*given, "optimizer.learning_rate=0.002", "peft.rank=16", "scheduler=linear"])
    write.write_report(folder)
    text = (folder / "best.yaml").read_text()
    assert again(folder) == wanted
    assert "key by key" in text and f"python -m mcqa.train --config-dir {folder} +experiment=best" in text
    assert text.startswith("# @package _global_\n#\n# Trial 1 of core-qlora_mcqa: dev/acc = 75.0 %\n")
    assert again(folder, "data.limit=5")["data"]["limit"] == 5
    assert yaml.safe_load(text)["defaults"][:2] == ["qlora_mcqa", {"override /model": "scratch"}]


def test_a_report_in_a_running_hydra_app_leaves_it_as_it_is(tmp_path):
    folder = study(tmp_path, overrides=["+experiment=qlora_mcqa"])
    ran(folder, 1, ["+experiment=qlora_mcqa", "optimizer.learning_rate=0.002", "peft.rank=16"])
    with initialize_config_dir(config_dir=CONF, version_base=None, job_name="running"):
        before = GlobalHydra.instance().hydra
        write.write_report(folder)
        assert GlobalHydra.instance().hydra is before
    assert "key by key" in (folder / "best.yaml").read_text()
    assert not GlobalHydra.instance().is_initialized()


def test_a_study_of_seeds_has_no_best_configuration(tmp_path):
    trials = [Written(params={"seed": i}, value=0.5 + i / 100) for i in range(3)]
    folder = make_study(tmp_path, trials, space={"seed": "0,1,2"})
    summary = write.write_report(folder)
    assert summary.verdict.startswith("3 seeds of one configuration")
    assert not (folder / "best.yaml").exists()


def test_what_a_study_file_fixed_is_in_the_best_trials_file_too(tmp_path):
    given = ["+experiment=qlora_mcqa"]
    fixed = ["optimizer.batch_size=null", "optimizer.gradient_accumulation_steps=2", "hardware.micro_batch_size=4"]
    folder = study(tmp_path, overrides=given)
    wanted = ran(folder, 1, [*given, *fixed, "optimizer.learning_rate=0.002", "peft.rank=16"])
    (folder / "trials/1/overrides.yaml").write_text("[optimizer.learning_rate=0.002, peft.rank=16]")
    write.write_report(folder)
    assert again(folder) == wanted
    assert yaml.safe_load((folder / "best.yaml").read_text())["hardware"] == {"micro_batch_size": 4}


def test_of_an_app_that_cannot_be_composed_here_the_overrides_are_kept(tmp_path):
    folder = study(tmp_path, overrides=["+lr=0.1", "~x", "db=mysql", "hydra.sweeper.n_trials=3"], base={"db": {"a": 1}})
    write.write_report(folder)
    text = (folder / "best.yaml").read_text()
    assert "<your app> --config-dir" in text and "config.yaml or hydra.yaml is gone" in text
    assert yaml.safe_load(text) == {
        "defaults": [{"override /db": "mysql"}, "_self_"], "lr": 0.1,
        "optimizer": {"learning_rate": 0.002}, "peft": {"r": 16},
    }  # fmt: skip


def test_choices_that_are_lists_are_lists_again(tmp_path):
    trials = [Written(params={"seed": i}, value=0.5 + i) for i in range(2)]
    folder = make_study(tmp_path, trials, space={"targets": "choice([a,b],[c])"}, journal=False)
    (folder / "trials/1/overrides.yaml").write_text(json.dumps(["targets=[a,b]"]))
    write.write_report(folder)
    assert yaml.safe_load((folder / "optimization_results.yaml").read_text())["best_params"] == {"targets": ["a", "b"]}
    assert yaml.safe_load((folder / "best.yaml").read_text())["targets"] == ["a", "b"]
