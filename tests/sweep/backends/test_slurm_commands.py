import os
from pathlib import Path

import pytest

from mcqa.sweep.backends import slurm_commands
from mcqa.sweep.backends.slurm_commands import Partition
from tests.sweep.backends.fake_slurm import FakeSlurm


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30:00", 30), ("90", 90), ("2:00:00", 120), ("1-00:00:00", 1440), ("2-12", 3600), ("1-01:30", 1530),
        ("0:30", 0.5), ("infinite", None), ("n/a", None),
    ],
)  # fmt: skip
def test_times_are_read_as_slurm_writes_them(text: str, minutes: float | None) -> None:
    assert slurm_commands.parse_minutes(text) == minutes


@pytest.mark.slow
def test_partitions_are_read_with_limits_and_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    FakeSlurm(tmp_path).answers(
        "sinfo",
        "echo 'main*|up|1-00:00:00|10|64|512000|gpu:a100:4(S:0-1)'; "
        "echo 'main*|up|1-00:00:00|2|32|256000|(null)'; echo 'off|down|infinite|1|64+|512000|(null)'",
    )
    assert slurm_commands.partitions() == [
        Partition("main", True, True, 1440, 10, 64, 512000, 4),
        Partition("main", True, True, 1440, 2, 32, 256000, 0),
        Partition("off", False, False, None, 1, 64, 512000, 0),
    ]
