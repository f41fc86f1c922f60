"""The study of arms that are experiments, from the command line to its page: two arms, one of which trains nothing."""

import json

import pytest

from mcqa import train
from mcqa.config.composition import compose
from mcqa.runs.files import read_json
from tests.small_runs import smaller


@pytest.mark.slow
def test_two_arms_end_in_one_page_with_new_seeds_on_test(questions_folder, tmp_path, monkeypatch):
    words = ["+sweeps=finetune_or_retrieve", "+experiment=base,sft", "hydra.sweeper.confirm=2", "hydra/launcher=basic"]
    arguments = ["mcqa.train", "--multirun", *words, *smaller(questions_folder, tmp_path)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", arguments)
    train.command()
    study = tmp_path / "outputs" / "sweeps" / "finetune_or_retrieve"
    trials = [read_json(study / "trials" / name / "result.json") for name in ("0", "1")]
    assert [trial["status"] for trial in trials] == ["complete", "complete"]
    confirmed = json.loads((study / "confirm.json").read_text())["configurations"]
    assert {(one["default"], len(one["runs"])) for one in confirmed} == {(True, 1), (False, 2)}
    text, page = ((study / name).read_text() for name in ("report.md", "report.html"))
    assert "| base | 1 | " in text and "| sft | 2 | " in text and "base trains nothing" in text
    assert "Arms on test" in page and "sft: " in page
    again = compose("config", ["+experiment=best", f"outputs={tmp_path}/outputs"], config_dir=str(study))
    best = read_json(study / "trials" / "1" / "result.json")["value"] > trials[0]["value"]
    assert again["objective"]["name"] == ("sft" if best else "none")
    monkeypatch.setattr("sys.argv", arguments)
    train.command()  # which has nothing left to run
    assert (study / "report.md").read_text() == text
