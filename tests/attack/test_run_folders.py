"""Whatever is damaged in a run folder, a command ends with a message or does as before: never a traceback."""

import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from mcqa import evaluate, train
from mcqa.compare import analysis, configurations, options, runs, sentences
from mcqa.config.composition import compose
from mcqa.config.errors import McqaError
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.evaluation import predictions
from mcqa.evaluation.record import measured_once
from mcqa.models import loading
from mcqa.runs.files import read_json
from mcqa.runs.record import Record
from mcqa.runs.repeat import repeated_config
from mcqa.runs.run_folder import config_of
from tests.attack.run_folders import COMMANDS, cases, interrupt

SEED, COUNT = 7, 160

pytestmark = pytest.mark.slow


def without_tracking(config):
    return replace(config, tracking=replace(config.tracking, name="none"))


class Reader:
    """Reads a run folder as the commands do, in this process, and without training or measuring."""

    def __init__(self, finished, monkeypatch, folder):
        self.finished, self.folder = finished, folder
        self.given = {
            name: compose(config, [f"{key}=X", f"outputs={folder / 'outputs'}"])
            for name, config, key in (
                ("resume", "config", "resume"),
                ("evaluate", "evaluate", "run"),
                ("from_run", "config", "from_run"),
            )
        }
        monkeypatch.setattr(train, "run", self._resume)
        monkeypatch.setattr(evaluate, "run", self._evaluate)

    def read(self, command, run):
        """Return what the command got out of the run folder."""
        self.got = None
        key = {"resume": "resume", "evaluate": "run", "from_run": "from_run"}.get(command)
        if command == "compare":
            chosen = options.parse([str(run), "resamples=100"])
            compared = configurations.group_runs([runs.find(str(run), chosen, str(self.folder))], chosen)
            comparison = analysis.compare(compared, chosen)
            assert all(sentences.notes(comparison))
            return [accuracy.mean for accuracy in comparison.accuracies]
        overrides = [f"{key}={run}"]
        config_dict = deepcopy(self.given[command]) | {key: str(run)}
        if command == "from_run":
            return typed(repeated_config(config_dict, overrides), Config).optimizer
        (train if command == "resume" else evaluate).main(config_dict, overrides)
        return self.got

    def _resume(self, config, folder, trial=None, inputs=None):
        record = Record(without_tracking(config), folder, Console(quiet=True), None)
        fingerprints = read_json(self.finished / "environment.json")["fingerprints"]
        try:
            record.inputs({n: f for n, f in fingerprints.items() if n != "tokenizer"}, {}, fingerprints["tokenizer"])
        finally:
            record.tracker.finish("FINISHED")  # it samples the use of the machine, into the folder
        self.got = {}
        for name in ("base_dev", "base_test"):
            rows = predictions.read(self.finished / "predictions" / f"{name}.jsonl")
            path = folder / "predictions" / f"{name}.jsonl"
            self.got[name] = measured_once(path, [row.question for row in rows], lambda rows=rows: rows)
            assert predictions.read(path) == rows

    def _evaluate(self, config, folder):
        config = evaluate.as_measured(config)
        tokenizer = loading.load_tokenizer(config.model, [])
        model = loading.load_model(config.model, config.peft, config.hardware, tokenizer, config.seed)
        with torch.no_grad():
            logits = model.eval()(input_ids=torch.tensor([tokenizer("The capital of France is")["input_ids"]])).logits
        self.got = loading.fingerprint(tokenizer), logits.sum().item()


def copied(finished: Path, to: Path, command: str) -> Path:
    if to.exists():
        shutil.rmtree(to)
    shutil.copytree(finished, to)
    if command == "resume":
        interrupt(to)
    return to


@pytest.fixture
def reader(finished_run, monkeypatch, tmp_path):
    return Reader(finished_run[0], monkeypatch, tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_run_folder_is_refused_with_a_message_or_read_as_before(command, reader, tmp_path):
    before = reader.read(command, copied(reader.finished, tmp_path / "run", command))
    assert before
    wrong = []
    for case in cases(SEED, COUNT):
        if case.command != command:
            continue
        run = copied(reader.finished, tmp_path / "run", command)
        case.damage(run)
        try:
            got = reader.read(command, run)
        except McqaError as error:
            happened = str(error)
            right = case.error is not None and case.error in happened
        except Exception as error:
            happened, right = f"a traceback: {error!r}", False
        else:
            happened, right = str(got), case.error is None and got == before
        if not right:
            wrong.append(f"{case.name}: expected {case.error or before}, but: {happened}")
    assert not wrong, "\n".join(wrong)


def test_the_same_seed_gives_the_same_cases():
    names = [[(case.name, case.error) for case in cases(seed, 200)] for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert {case.command for case in cases(1, 200)} == set(COMMANDS)


def test_a_run_whose_optional_files_are_all_damaged_ends_with_the_same_numbers(finished_run, tmp_path):
    finished, result = finished_run
    run = copied(finished, tmp_path / "run", "resume")
    for name in ("environment.json", "tracking.json", "overrides.yaml", "predictions/base_test.jsonl"):
        (run / name).write_bytes(b"\xff{")
    base = run / "predictions" / "base_dev.jsonl"
    base.write_bytes(b"".join(base.read_bytes().splitlines(keepends=True)[:3]))
    train.run(without_tracking(typed(config_of(run), Config)), run)
    again = read_json(run / "result.json")
    assert (again["status"], again["metrics"]) == ("complete", pytest.approx(result["metrics"], nan_ok=True))
    for path in (finished / "predictions").iterdir():
        assert len(predictions.read(run / "predictions" / path.name)) == len(predictions.read(path))
    for name in ("environment.json", "tracking.json", "result.json"):
        (run / name).write_text("[1]")
    overrides = [f"run={run}", "tracking=none", f"outputs={tmp_path}/again"]
    measured = evaluate.main(compose("evaluate", overrides), overrides)
    assert measured.record.metrics["test/acc"] == result["metrics"]["test/acc"]
