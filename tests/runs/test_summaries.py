"""The table of runs says what each run folder says, also of one that failed, runs, or is damaged."""

import csv
import io
import json

import pytest
import yaml

from mcqa.config.composition import compose
from mcqa.config.errors import ConfigError
from mcqa.runs.__main__ import HEADINGS, as_csv_text, cells, main
from mcqa.runs.run_folder import only_run
from mcqa.runs.summaries import find_runs, summaries, summary

METRICS = {"dev/acc": 0.5, "dev/acc_ci_low": 0.4, "dev/acc_ci_high": 0.6, "test/acc": 0.25, "base/test/acc": 0.2}


@pytest.fixture(scope="module")
def config():
    return compose("config", ["+experiment=lora_mcqa", "seed=3", "data=local", "data.path=/my/questions.csv"])


@pytest.fixture
def outputs(config, tmp_path):
    """Three runs: one that is complete, one that failed, and one that has no result."""
    results = {"20261129-205623-f4bcee": {"status": "complete", "metrics": METRICS, "seconds": 90.0},
               "20261130-010203-aaaaaa": {"status": "failed", "metrics": {}, "seconds": 6.0},
               "20261130-020304-bbbbbb": None}  # fmt: skip
    for name, result in results.items():
        folder = tmp_path / "outputs" / "runs" / "lora_mcqa" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        if result:
            (folder / "result.json").write_text(json.dumps(result))
    return tmp_path / "outputs"


def row(run):
    return dict(zip(HEADINGS, cells(run), strict=True))


def test_a_complete_run_is_told_by_its_configuration_and_its_accuracies(outputs):
    run = summary(find_runs(outputs)[0])
    assert row(run) | {"run folder": ""} == {
        "name": "lora_mcqa", "model": "starter", "data": "questions", "peft": "lora", "learning rate": "0.002",
        "seed": "3", "dev": "50.0 %", "test": "25.0 %", "95 % interval": "25.0–25.0", "base": "20.0 %",
        "minutes": "1.5", "status": "complete", "run folder": "",
    }  # fmt: skip
    assert run.started == "2026-11-29 20:56" and (run.dev.low, run.dev.high) == (0.4, 0.6)


def test_a_run_without_a_result_is_running_while_a_process_holds_it(outputs):
    *_, folder = find_runs(outputs)
    assert summary(folder).status == "unfinished"
    with only_run(folder):
        assert summary(folder).status == "running"
    assert summary(folder).status == "unfinished"


def test_a_damaged_run_is_a_line_and_loses_no_other(outputs):
    folders = find_runs(outputs)
    (folders[0] / "config.yaml").write_text("a: [")
    read, problems = summaries(folders)
    assert [run.status for run in read] == ["failed", "unfinished"]
    assert len(problems) == 1 and str(folders[0]) in problems[0]


def test_the_csv_has_unrounded_numbers(outputs):
    rows = list(csv.DictReader(io.StringIO(as_csv_text(summaries(find_runs(outputs))[0]))))
    assert [one["status"] for one in rows] == ["complete", "failed", "unfinished"]
    assert (rows[0]["dev_low"], rows[0]["test_value"], rows[1]["test_value"]) == ("0.4", "0.25", "")


def test_the_command_sorts_chooses_and_writes_the_page(outputs, capsys):
    (find_runs(outputs)[0] / "run.html").touch()
    main([f"outputs={outputs}", "sort=test"])
    shown = capsys.readouterr().out
    assert shown.index("unfinished") < shown.index("complete")  # the best is nearest to the prompt
    page = (outputs / "runs.html").read_text()
    assert page.count('<a href="runs/lora_mcqa/') == 1
    assert page.count("<tr>") == 4 and "3 runs, 1 complete" in page
    main([f"outputs={outputs}", "status=failed"])
    assert "complete" not in capsys.readouterr().out
    main([f"outputs={outputs}", "--csv"])
    assert capsys.readouterr().out.startswith("started,folder,name,")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sort=best"], "sort=best: must be one of time, name"),
        (["outputs=nowhere"], "there is no such folder"),
        (["x"], "x: no option"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments, problem, outputs, monkeypatch):
    monkeypatch.chdir(outputs.parent)
    with pytest.raises(ConfigError, match=problem):
        main(arguments)
