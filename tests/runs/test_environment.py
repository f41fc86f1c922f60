"""Which paths other machines do not see."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mcqa.runs import environment

MOUNTS = {"/": "ext4", "/tmp": "tmpfs", "/proj": "lustre", "/proj here": "nfs4", "/scratch": "nfs4"}


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        ("/usr", "ext4 at /"),
        ("/tmp/x", "tmpfs at /tmp"),
        ("/projx", "ext4 at /"),
        ("/scratch/a", "ext4 at /scratch"),  # mounted over another one
        ("/proj/a", None),
        ("/proj here/a", None),
    ],
)
def test_a_path_on_a_file_system_of_this_machine_alone_is_warned_of(path, mounted, monkeypatch):
    partitions = [SimpleNamespace(mountpoint=point, fstype=kind) for point, kind in MOUNTS.items()]
    partitions.append(SimpleNamespace(mountpoint="/scratch", fstype="ext4"))
    monkeypatch.setattr(environment.psutil, "disk_partitions", lambda all: partitions)
    warnings = environment.node_local_warnings({"The cache": Path(path)})
    assert [warning.partition(". ")[0] for warning in warnings] == (
        [f"The cache is on this machine's own disk or memory ({path}: {mounted})"] if mounted else []
    )
