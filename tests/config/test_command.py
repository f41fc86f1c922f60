"""A mistake on the command line is a few lines and status 1, in an instant; a traceback would be a bug."""

import os
import subprocess
import sys

import pytest
import torch
import yaml

from mcqa import evaluate, train
from mcqa.config.composition import PACKAGE, compose
from mcqa.config.errors import ConfigError, ModelError
from tests.config.test_diagnosis import diagnosed

MODULES = ["mcqa.train", "mcqa.evaluate"]
HEAVY = ["torch", "transformers", "trl", "mlflow", "datasets", "peft"]
LIST_HEAVY = f"""
import runpy, sys
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    print("IMPORTED", *sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)
"""


def environment():
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


def command(*arguments, cwd, module="mcqa.train"):
    """A command as a user types it, in a folder that is not the checkout."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=cwd, env=environment(), capture_output=True, text=True
    )


def refused(*arguments, cwd, module="mcqa.train"):
    """What a command says that must end as a user's mistake does, having written nothing."""
    done = command(*arguments, cwd=cwd, module=module)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (cwd / "outputs").exists()
    return done.stderr


# --- in an instant ---------------------------------------------------------------------------------------------------


def importing_nothing_heavy(*arguments, cwd, module):
    """The output of a command, which has imported none of HEAVY."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_HEAVY, module, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("IMPORTED")] == ["IMPORTED"]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["optimizer.lerning_rate=1"], ["seed=x"]], ids=" ".join)
def test_composing_and_mistakes_import_nothing_heavy(module, arguments, tmp_path):
    importing_nothing_heavy(*arguments, cwd=tmp_path, module=module)


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_help_names_every_option_and_three_commands_to_try_and_imports_nothing_heavy(module, tmp_path):
    told = importing_nothing_heavy("--help", cwd=tmp_path, module=module)
    for option in ("qlora", "arc_challenge", "qwen3_0_6b", "cloze", "cosine"):
        assert option in told
    usage, *commands = [line for line in told.splitlines() if line.strip().startswith(f"python -m {module} ")]
    assert len(commands) == 3
    assert "$" not in told


@pytest.mark.slow
def test_the_configuration_is_shown_from_any_folder_and_leaves_nothing_there(tmp_path):
    secret = "tracking.uri=http://me:hunter2@host:5000"
    done = command("+experiment=qlora_mcqa", "seed=7", secret, "--cfg", "job", cwd=tmp_path)
    shown = yaml.safe_load(done.stdout)
    assert shown["tracking"]["uri"] == "http://[redacted]@host:5000"
    assert (shown["name"], shown["seed"], shown["peft"]["quantization"]) == ("qlora_mcqa", 7, "nf4")
    assert list(tmp_path.iterdir()) == []


# --- the whole way: exit status and words ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_misspelled_option_ends_with_the_nearest_one(tmp_path):
    assert refused("peft=qlroa", cwd=tmp_path) == (
        "The configuration has a problem:\n"
        "  peft=qlroa: no such option; known are dora, lora, none, qlora, rslora. Did you mean 'qlora'?\n"
    )


@pytest.mark.slow
def test_several_mistakes_of_several_kinds_are_reported_at_once(tmp_path):
    told = refused("data=arc_eazy", "optimizer.lerning_rate=1", "+model.typo=3", "seed=x", cwd=tmp_path)
    head, *lines = told.splitlines()
    assert head == "The configuration has 4 problems:"
    assert {line.split(":")[0].strip() for line in lines} == {
        "data=arc_eazy",
        "optimizer.lerning_rate",
        "model.typo",
        "seed",
    }


@pytest.mark.slow
def test_mistakes_that_hydra_lets_through_are_reported_the_same_way(tmp_path):
    told = refused("model=local", "+peft.typo=1", "optimizer.batch_size=0", cwd=tmp_path)
    assert told.startswith("The configuration has 3 problems:\n")
    assert "  model.path: model=local needs model.path=<local folder or hub id>.\n" in told


@pytest.mark.slow
def test_an_evaluation_is_refused_in_the_same_words(tmp_path):
    told = refused("splits=[dev,tset]", "peft.rnk=2", cwd=tmp_path, module="mcqa.evaluate")
    assert "splits[1]: must be one of train, dev, test, got 'tset'. Did you mean 'test'?" in told
    assert "peft.rnk: unknown key." in told


@pytest.mark.slow
@pytest.mark.parametrize("garbage", ["foo bar", "=3", "model=null"])
def test_an_override_that_is_none_is_quoted(garbage, tmp_path):
    assert garbage in refused("peft=lora", garbage, cwd=tmp_path)


@pytest.mark.slow
def test_a_mistake_that_only_the_story_finds_ends_the_same_way(tmp_path):
    run = tmp_path / "mine" / "20260101-000000-abcdef"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("name: mine\n")
    told = refused("resume=mine", cwd=tmp_path)
    assert told == f"mine is no run folder: there is no config.yaml in it. Runs below it: {run}.\n"


# --- what the stories refuse -----------------------------------------------------------------------------------------


def test_a_run_to_measure_must_be_one(tmp_path):
    with pytest.raises(ConfigError, match="is no run folder"):
        evaluate.main(compose("evaluate", [f"run={tmp_path}"]), [f"run={tmp_path}"])


def test_resuming_takes_no_other_overrides():
    overrides = ["resume=somewhere", "seed=1"]
    with pytest.raises(ConfigError, match="leave the other overrides out"):
        train.main(compose("config", overrides), overrides)


def test_measuring_is_not_resumed(tmp_path):
    with pytest.raises(ConfigError, match="resume and from_run are for mcqa.train"):
        evaluate.main(compose("evaluate", ["resume=somewhere", f"outputs={tmp_path}"]), ["resume=somewhere"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize(("main", "name"), [(train.main, "config"), (evaluate.main, "evaluate")])
def test_a_gpu_that_is_not_there_is_reported_with_a_way_out(main, name, tmp_path):
    overrides = ["hardware=gpu", f"outputs={tmp_path}"]
    with pytest.raises(ConfigError, match=r"^hardware=gpu needs an NVIDIA GPU .* Take hardware=cpu"):
        main(compose(name, overrides), overrides)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_not_there_is_reported_by_its_key():
    overrides = ["model=local", "model.path=/no/such/model", "dry_run=true"]
    with pytest.raises(ModelError, match=r"^model\.path=/no/such/model: there is no such folder here\."):
        train.main(compose("config", overrides), overrides)


# --- composing -------------------------------------------------------------------------------------------------------


def test_what_hydra_refuses_to_compose_is_a_config_error():
    with pytest.raises(ConfigError, match="Could not find 'peft/qlroa'"):
        compose("config", ["peft=qlroa"])


@pytest.fixture(params=["plain", "Größe (2), alt"])
def own_options(request, tmp_path):
    """A folder with an option data=mine and an experiment of the user's own."""
    folder = tmp_path / request.param
    (folder / "data").mkdir(parents=True)
    (folder / "experiment").mkdir()
    (folder / "data" / "mine.yaml").write_text("defaults:\n  - local\n\nname: mine\npath: mine.csv\n")
    (folder / "experiment" / "own.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /data: mine\nname: own\n"
    )
    return folder


@pytest.mark.slow
def test_options_of_ones_own_are_chosen_like_those_of_the_project(own_options, tmp_path):
    done = command("--config-dir", str(own_options), "+experiment=own", "peft=none", "--cfg", "job", cwd=tmp_path)
    shown = yaml.safe_load(done.stdout)
    assert (shown["name"], shown["data"]["path"], shown["peft"]["name"]) == ("own", "mine.csv", "none")


def test_options_of_ones_own_are_known_to_the_diagnosis(own_options):
    own = f"--config-dir={own_options}"
    (told,) = diagnosed(own, "data=mien")
    assert told.endswith("Did you mean 'mine'?")
    assert ", mine, " in told
    (told,) = diagnosed(own, "data=mine", "peft.rnk=3")
    assert told.startswith("peft.rnk: unknown key.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["+sweeps=smoke"], "+sweeps=smoke: a study of many runs; add --multirun"),
        (["--multirun", "+sweeps=smoke,core"], "+sweeps=smoke,core: one study at a time"),
        (["seed=1,2"], "seed=1,2: a list of values needs --multirun"),
        (["+sweep=smoke"], "sweep: unknown key. Did you mean 'sweeps'?"),
        (["evaluation.best_metric=dev/accuracy"], "Did you mean 'dev/acc'?"),
    ],
)
def test_what_would_silently_be_something_else_is_reported(tmp_path, arguments, told):
    assert told in refused(*arguments, cwd=tmp_path)


def test_a_launcher_of_ones_own_is_no_mistake(own_options):
    (own_options / "hydra" / "launcher").mkdir(parents=True)
    (own_options / "hydra" / "launcher" / "mine.yaml").write_text("defaults: [local]\n")
    (told,) = diagnosed(f"--config-dir={own_options}", "hydra/launcher=mine", "sed=1")
    assert told.startswith("sed: unknown key.")


@pytest.mark.slow
def test_a_folder_of_options_that_is_not_there_is_reported(tmp_path):
    assert "nowhere" in refused("--config-dir", "nowhere", "data=mine", cwd=tmp_path)


def test_a_module_that_cannot_be_imported_is_a_bug_and_not_a_mistake_of_the_command_line(monkeypatch):
    def broken(**_):
        raise ImportError("cannot import name 'x' from 'mcqa.y'")

    monkeypatch.setattr("mcqa.config.command.hydra.main", broken)
    monkeypatch.setattr(sys, "argv", ["mcqa.train", "seed=1"])
    with pytest.raises(ImportError, match="cannot import name"):
        train.command()
