"""A trial's configuration is Hydra's own, though most of them are not composed anew."""

import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from mcqa.sweep.compose import Composer, app_config

ARGUMENTS = ["+study=wide", "seed=3"]
FILES = {
    "app.yaml": {
        "defaults": [{"model": "small"}, "_self_"],
        "seed": 0,
        "name": "of ${seed}",
        "rate": None,
        "words": {},
    },
    "model/small.yaml": {"width": 8, "depth": "${..seed}", "kind": {"a": 1}},
    "model/large.yaml": {"width": 64, "heads": 4},
    "study/wide.yaml": {"beyond": [1, 2]},
}


@pytest.fixture
def loader(tmp_path):
    for name, config_dict in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(config_dict))
    with initialize_config_dir(config_dir=str(tmp_path), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def composer(loader):
    given = loader.load_configuration("app", [*ARGUMENTS, "hydra.job.name=study"], RunMode.MULTIRUN)
    given.hydra.job.config_name = "app"
    return Composer(given, HydraContext(loader, None))


def by_hydra(composer, loader, overrides):
    return loader.load_sweep_config(composer._config, overrides)


def shown(config):
    return OmegaConf.to_yaml(config), app_config(config)


@pytest.mark.parametrize(
    "asked",
    [
        ["rate=0.5"],
        ["rate=1e-05", "seed=7"],
        ["rate='a b'", "seed=-1"],
        ["rate=[1,2,'x y']", "words={a:1,b:{c:2}}"],
        ["words={a:1}", "+words.b=2", "++seed=4"],
        ["model=large", "model.width=2"],
        ["model.width=2", "model=large", "model.heads=1"],
        ["model@other=large"],
        ["+model@other=large", "other.width=5"],
        ["~beyond", "seed=2"],
        ["hydra.job.name=other", "rate=null"],
        ["model.kind.a=2", "rate=true"],
        ["+new=${seed}", "seed=9"],
    ],
)
def test_a_configuration_is_what_hydra_composes_also_when_others_were_asked_for_in_between(composer, loader, asked):
    overrides = [*ARGUMENTS, *asked]
    try:
        wanted = shown(by_hydra(composer, loader, overrides))
    except HydraException as error:
        with pytest.raises(type(error)):
            composer(overrides)
        return
    assert shown(composer(overrides)) == wanted
    composer([*ARGUMENTS, "rate=77", "model.width=99"])
    assert shown(composer(overrides)) == wanted


def test_a_value_for_a_key_that_is_not_there_is_refused(composer):
    with pytest.raises(HydraException, match="Could not override 'model.heads'"):
        composer([*ARGUMENTS, "model.heads=3"])


def test_files_that_change_while_a_study_runs_reach_no_later_trial(composer, tmp_path):
    first = composer([*ARGUMENTS, "rate=1"])
    (tmp_path / "model/small.yaml").write_text("width: 1000")
    later = composer([*ARGUMENTS, "rate=2"])
    assert (later.rate, later.model) == (2, first.model)
