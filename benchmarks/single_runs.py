"""Runs of a benchmark, each in a folder of its own and trained once, and what they answered."""

import json

from mcqa import train
from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.runs import run_folder
from mcqa.runs.files import write_yaml


def finished(folder, name, overrides):
    """The folder and metrics of a run with these overrides, trained unless it is there already."""
    place = folder / "runs" / name / "run"
    if not run_folder.is_complete(place):
        overrides = [*overrides, f"name={name}", f"outputs={folder}", "tracking=none"]
        config_dict = compose("config", overrides)
        place.mkdir(parents=True, exist_ok=True)
        write_yaml(place / "overrides.yaml", overrides)
        write_yaml(place / "config.yaml", config_dict)
        train.run(typed(config_dict, Config), place)
    return place, run_folder.read_result(place)["metrics"]


def answers(place):
    """Which test questions the run answers right, and the fact that each is about, by the ids of the questions."""
    rows = [json.loads(line) for line in (place / "predictions" / "test.jsonl").read_text().splitlines()]
    rows.sort(key=lambda row: row["id"])
    return [row["correct"] for row in rows], [row["id"].rpartition("/")[0] for row in rows]
