"""The best trial as an experiment file: it runs again as it ran."""

import json
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from mcqa.config.composition import ROOT
from mcqa.config.composition import compose as composed_by_us
from mcqa.sweep.report import best_experiment, write
from tests.sweep.report.recorded_studies import BASE, Written, make_study, mixed_study

CONF = str(Path(__file__).parents[3] / "conf")


def ran(folder, number, overrides):
    """The trial's files as a submission leaves them, composed from the project's own configuration."""
    with initialize_config_dir(config_dir=CONF, version_base=None):
        config = compose("config", overrides=overrides, return_hydra_config=True)
    runtime = OmegaConf.to_container(config, resolve=False)["hydra"]["runtime"]
    hydra = {
        "job": {"config_name": "config"},
        "runtime": {key: runtime[key] for key in ("choices", "config_sources")},
    }
    OmegaConf.set_struct(config, False)
    del config["hydra"]
    resolved = OmegaConf.to_container(config, resolve=True)
    trial = folder / "trials" / str(number)
    (trial / "config.yaml").write_text(yaml.safe_dump(resolved))
    (trial / "hydra.yaml").write_text(yaml.safe_dump(hydra))
    (trial / "overrides.yaml").write_text(yaml.safe_dump(overrides))
    return resolved


def composed_again(folder, *more):
    with initialize_config_dir(config_dir=CONF, version_base=None):
        config = compose("config", overrides=[f"hydra.searchpath=[file://{folder}]", "+experiment=best", *more])
    return OmegaConf.to_container(config, resolve=True)


def test_the_best_trial_runs_again_as_it_ran(tmp_path):
    given = ["+experiment=qlora_mcqa", "model=scratch", "data.limit=32", "+sweeps=learning_rate", "seed=4"]
    folder = mixed_study(tmp_path, overrides=given, base=BASE | {"objective": {}})
    wanted = ran(folder, 1, [*given, "optimizer.learning_rate=0.002", "peft.rank=16", "scheduler=linear"])
    write.write_report(folder)
    text = (folder / "best.yaml").read_text()
    assert composed_again(folder) == wanted
    assert "key by key" in text and f"python -m mcqa.train --config-dir {folder} +experiment=best" in text
    assert text.startswith("# @package _global_\n#\n# Trial 1 of core-qlora_mcqa: dev/acc = 75.0 %\n")
    assert composed_again(folder, "data.limit=5")["data"]["limit"] == 5
    assert yaml.safe_load(text)["defaults"][:2] == ["qlora_mcqa", {"override /model": "scratch"}]


def test_a_report_in_a_running_hydra_app_leaves_it_as_it_is(tmp_path):
    folder = mixed_study(tmp_path, overrides=["+experiment=qlora_mcqa"])
    ran(folder, 1, ["+experiment=qlora_mcqa", "optimizer.learning_rate=0.002", "peft.rank=16"])
    with initialize_config_dir(config_dir=CONF, version_base=None, job_name="running"):
        before = GlobalHydra.instance().hydra
        write.write_report(folder)
        assert GlobalHydra.instance().hydra is before
    assert "key by key" in (folder / "best.yaml").read_text()
    assert not GlobalHydra.instance().is_initialized()


def test_what_a_study_file_fixed_is_in_the_best_trials_file(tmp_path):
    given = ["+experiment=qlora_mcqa"]
    fixed = ["optimizer.batch_size=null", "optimizer.gradient_accumulation_steps=2", "hardware.micro_batch_size=4"]
    folder = mixed_study(tmp_path, overrides=given)
    wanted = ran(folder, 1, [*given, *fixed, "optimizer.learning_rate=0.002", "peft.rank=16"])
    (folder / "trials/1/overrides.yaml").write_text("[optimizer.learning_rate=0.002, peft.rank=16]")
    write.write_report(folder)
    assert composed_again(folder) == wanted
    assert yaml.safe_load((folder / "best.yaml").read_text())["hardware"] == {"micro_batch_size": 4}


def test_the_overrides_are_kept_of_an_app_that_cannot_be_composed_here(tmp_path):
    given = ["+lr=0.1", "~x", "db=mysql", "hydra.sweeper.n_trials=3"]
    folder = mixed_study(tmp_path, overrides=given, base={"db": {"a": 1}})
    write.write_report(folder)
    text = (folder / "best.yaml").read_text()
    assert "<your app> --config-dir" in text and "config.yaml or hydra.yaml is missing" in text
    assert yaml.safe_load(text) == {
        "defaults": [{"override /db": "mysql"}, "_self_"], "lr": 0.1,
        "optimizer": {"learning_rate": 0.002}, "peft": {"rank": 16},
    }  # fmt: skip


def test_choices_that_are_lists_are_lists_in_the_files(tmp_path):
    trials = [Written(params={"seed": i}, value=0.5 + i) for i in range(2)]
    folder = make_study(tmp_path, trials, space={"targets": "choice([a,b],[c])"}, journal=False)
    (folder / "trials/1/overrides.yaml").write_text(json.dumps(["targets=[a,b]"]))
    write.write_report(folder)
    assert yaml.safe_load((folder / "optimization_results.yaml").read_text())["best_params"] == {"targets": ["a", "b"]}
    assert yaml.safe_load((folder / "best.yaml").read_text())["targets"] == ["a", "b"]


def test_the_stages_of_a_trial_are_those_of_its_experiment():
    own = {"optimizer.weight_decay": 0.05}
    config = composed_by_us("config", ["+experiment=sft_then_dpo", "optimizer.weight_decay=0.05"])
    paths = {"main": ROOT / "conf", "mcqa-sweeper": ROOT / "hydra_plugins" / "mcqa_sweeper" / "conf"}
    sources = [{"provider": name, "schema": "file", "path": str(path)} for name, path in paths.items()]
    hydra = {"runtime": {"config_sources": sources}, "job": {"config_name": "config"}}
    ran = best_experiment._Ran(config, hydra, {})
    assert best_experiment._missing_keys(["sft_then_dpo"], {}, ran)[1] == own
    remark, missing = best_experiment._missing_keys(["sft_then_dpo"], own, ran)
    assert remark.startswith("Composed with today's conf it is identical") and missing == {}
