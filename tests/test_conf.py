"""Every file in conf/ and sweeps/ composes into a valid configuration and says what choosing it means."""

import os
import shutil
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest
import yaml

from mcqa import train
from mcqa.config.composition import ROOT, compose
from mcqa.config.errors import ConfigError
from mcqa.config.prompt_styles import STYLES, template_problems
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.sweep.space.dimension import times
from mcqa.sweep.space.override_text import text_of
from mcqa.sweep.space.space import parse

CONF = ROOT / "conf"
NOT_GROUPS_OF_A_RUN = {"experiment", "hydra", "site", "sweeps"}
GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name not in NOT_GROUPS_OF_A_RUN)
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
SWEEPS = sorted(path.stem for path in (ROOT / "sweeps").glob("*.yaml"))
FILES = sorted([*CONF.rglob("*.yaml"), *(ROOT / "sweeps").glob("*.yaml")])

A_RUN = Path(tempfile.mkdtemp(prefix="mcqa-test-run-"))
(A_RUN / "model").mkdir()
(A_RUN / "config.yaml").write_text("model: {licence: MIT, learning_rate: {full: 1.0e-4, adapter: 1.0e-3}}\n")

NEEDS = {
    ("model", "local"): ["model.path=a/model"],
    ("model", "run"): [f"model.run={A_RUN}"],
    ("model", "scratch"): ["objective=pretrain", "peft=none"],
    **{("data", name): ["data.path=mine.jsonl"] for name in ("local", "messages", "sharegpt", "instructions", "pairs")},
    **{("data", name): ["data.splits.train=mine"] for name in ("bbh", "gpqa", "mmlu_pro", "pubmedqa", "truthfulqa")},
    ("data", "new_facts_reversed"): ["data.splits.train=train"],
    ("data", "mix"): ["data.sets=[arc_easy,openbookqa]"],
    ("prompt", "template"): ["prompt.template='{{ question }}'"],
    ("optimizer", "paged_adamw_8bit"): ["hardware=gpu"],
}
"""What an option cannot be chosen without."""


def config(*overrides):
    return typed(compose("config", list(overrides)), Config)


def raw(path):
    return yaml.safe_load(path.read_text("utf-8"))


def keys(kind):
    return {field.name for field in fields(kind)}


def parts(kind):
    """The fields of a dataclass that hold a dataclass in turn, optional ones too."""
    hints = get_type_hints(kind).items()
    return {name: part for name, hint in hints for part in (hint, *get_args(hint)) if is_dataclass(part)}


def ids(pairs):
    return [f"{group}={option}" for group, option in pairs]


def test_the_folders_are_the_groups_of_a_config():
    assert set(parts(Config)) - {"stages"} == set(GROUPS)


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=ids(OPTIONS))
def test_every_option_composes(group, option):
    run = config(f"{group}={option}", *NEEDS.get((group, option), []))
    chosen = getattr(run, group)
    if "name" in keys(type(chosen)):
        assert chosen.name == option or (group, option) == ("data", "local")  # which is called as its file


@pytest.mark.parametrize(("group", "option"), sorted(NEEDS), ids=ids(sorted(NEEDS)))
def test_an_option_that_needs_more_says_so(group, option):
    assert (group, option) in OPTIONS
    with pytest.raises(ConfigError):
        config(f"{group}={option}")


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=ids(OPTIONS))
def test_every_key_of_an_option_is_a_field_and_complete_options_lack_none(group, option):
    values, kind = raw(CONF / group / f"{option}.yaml"), parts(Config)[group]
    builds_on_another = values.pop("defaults", None) is not None
    assert set(values) <= keys(kind)
    assert builds_on_another or set(values) == keys(kind)
    for name, part in parts(kind).items():
        named = get_origin(get_type_hints(kind)[name]) is dict
        for section in values.get(name, {}).values() if named else filter(None, [values.get(name)]):
            assert set(section) <= keys(part) and (builds_on_another or set(section) == keys(part))


@pytest.mark.parametrize("name", [option for group, option in OPTIONS if group == "data"])
def test_the_published_prompt_of_every_set_is_one_that_questions_can_be_asked_by(name):
    prompt = raw(CONF / "data" / f"{name}.yaml").get("prompt", {})
    text, answer = prompt.get("template"), prompt.get("answer_template")
    if prompt.get("style") == "template":
        assert list(template_problems("prompt", text, answer)) == []
    else:
        assert prompt.get("style") in {None, *STYLES} and text is answer is None


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_the_first_line_of_every_file_is_a_comment(path):
    first = path.read_text("utf-8").splitlines()[0]
    assert first.startswith("# ") and len(first) > 10


def test_no_two_models_have_the_same_path():
    paths = [values["path"] for path in (CONF / "model").glob("*.yaml") if (values := raw(path))["path"] is not None]
    assert len(paths) > 1
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_is_named_after_its_file(name, machine):
    assert config(f"+experiment={name}", f"hardware={machine}").name == name


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_says_what_it_asks_and_how_to_run_it(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text("utf-8")
    comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert comments[0] == "@package _global_"
    assert "?" in " ".join(comments)
    assert f"python -m mcqa.train +experiment={name}" in comments


def commands(folder):
    """The command lines in the comments, as lists of overrides; <…> stands for something of the reader's."""
    for path in sorted(folder.glob("*.yaml")):
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("#   python -m mcqa.train "):
                yield [word for word in line.split()[4:] if not word.startswith("--")]


@pytest.mark.parametrize(
    "overrides", [*commands(CONF / "experiment"), *commands(ROOT / "sweeps")], ids=lambda words: " ".join(words)
)
def test_every_command_in_a_comment_composes(overrides):
    """Of what a study sweeps, the first value; that the whole list is valid, its dry run says."""
    words = [word.replace("<", "a/").replace(">", "") for word in overrides]
    config(*(word if "[" in word else word.partition(",")[0] for word in words))


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_varies_keys_that_exist_by_values_that_are_valid(name):
    text = (ROOT / "sweeps" / f"{name}.yaml").read_text("utf-8")
    assert f"+sweeps={name}" in text
    params = yaml.safe_load(text)["hydra"]["sweeper"]["params"]
    assert params
    space = parse(params, [], compose("config", [f"+sweeps={name}"]), dict.fromkeys(GROUPS, ""), None)
    recommended = space.recommended
    for dimension in space.dimensions:
        ends = list(dimension.values()) or [dimension.distribution.low, dimension.distribution.high]
        for value in (ends[0], ends[-1]):
            value = times(value, *recommended[dimension.name].values()) if dimension.is_factor else value
            config(f"+sweeps={name}", f"{dimension.key}={text_of(value) if not isinstance(value, str) else value}")


@pytest.mark.slow
@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_is_a_valid_study_by_the_command_in_its_comment(name, tmp_path, monkeypatch, capsys):
    words = next(words for words in commands(ROOT / "sweeps") if f"+sweeps={name}" in words)
    experiments = [word.partition("=")[2] for word in words if word.startswith("+experiment=")]
    study = "-".join([name, *experiments])  # a study whose arms are experiments has none beside them
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mcqa.train", "--multirun", *words, "dry_run=true"])
    train.command()
    said = capsys.readouterr().out
    assert f"Study {study} in outputs/sweeps/{study}\n" in said
    assert "maximize dev/acc" in said
    assert "trial 0 is the default configuration" in said or "grid sampler" in said
    assert not list(tmp_path.iterdir())


LAUNCHERS = sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))
SITES = sorted(path.stem for path in (CONF / "site" / "hydra" / "launcher").glob("*.yaml"))


def script(capsys, monkeypatch, tmp_path, *arguments):
    """Of the job that this multirun would send, and all else that is shown; on a machine whose SLURM says nothing."""
    (tmp_path / "bin").mkdir()
    for name in ("srun", "sbatch", "sinfo", "sacctmgr"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mcqa.train", *arguments, "hardware=gpu", "hardware.devices=2", "dry_run=true"])
    try:
        train.command()
    except SystemExit as error:
        assert "sinfo does not answer" in str(error)
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_gives_a_job_the_devices_of_hardware(name, capsys, monkeypatch, tmp_path):
    shown = script(capsys, monkeypatch, tmp_path, "--multirun", f"hydra/launcher={name}")
    assert "1 node, 2 processes, 2 GPUs" in shown
    assert name == "local" or "#SBATCH --gpus-per-node=2\n" in shown


@pytest.mark.slow
@pytest.mark.parametrize("name", SITES)
def test_a_site_s_file_is_a_launcher_by_the_command_in_its_comment(name, capsys, monkeypatch, tmp_path):
    path = CONF / "site" / "hydra" / "launcher" / f"{name}.yaml"
    (command,) = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#   python -m mcqa.train")]
    shutil.copytree(CONF / "site", tmp_path / "my_site")
    shown = script(capsys, monkeypatch, tmp_path, *command.split()[4:])
    values = raw(path)
    assert "#SBATCH --gpus-per-node=2\n" in shown
    assert f"#SBATCH --account={values['account']}\n" in shown
    assert all(line.partition("=")[0] in shown for line in values["setup"])  # the values may be secrets
    assert values.get("python", "-m submitit") in shown


def test_the_help_files_are_those_that_the_commands_ask_for():
    asked = {
        default["override hydra/help"]
        for command in ("config", "evaluate", "verify")
        for default in raw(CONF / f"{command}.yaml")["defaults"]
        if isinstance(default, dict) and "override hydra/help" in default
    }
    assert asked == {path.stem for path in (CONF / "hydra" / "help").glob("*.yaml")}


def test_the_embedded_base_is_pretrained_as_it_was_whatever_the_defaults_of_its_objective_are():
    objective = config("+experiment=pretrain_starter").objective
    assert (objective.epochs, objective.max_length, objective.packing) == (30, 512, False)
    assert (objective.replay_share, objective.learning_rate_factor, objective.max_steps) == (None, 1, None)
