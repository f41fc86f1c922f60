from functools import partial

import pytest

from mcqa.config.errors import ConfigError
from mcqa.sweep.backends.in_process import InProcess
from mcqa.sweep.backends.job import Job
from mcqa.sweep.backends.launcher import make_backend
from mcqa.sweep.backends.local import Local
from mcqa.sweep.backends.slurm import Slurm
from tests.sweep.submitted import CONTEXT, app

make_job = partial(Job, task_function=app(), hydra_context=CONTEXT)


@pytest.mark.parametrize(
    ("target", "kind"), [("a.LocalLauncher", Local), ("a.SlurmLauncher", Slurm), ("hydra.BasicLauncher", InProcess)]
)
def test_the_launcher_decides_where_trials_run(target: str, kind: type) -> None:
    assert isinstance(make_backend({"_target_": target}, make_job, lambda folder: {}, slots=2), kind)


def test_a_launcher_of_whole_batches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"JoblibLauncher.*submitit_local"):
        make_backend({"_target_": "a.JoblibLauncher"}, make_job, lambda folder: {}, slots=2)
