"""Folders that only one machine sees."""

import os
from collections.abc import Mapping
from pathlib import Path

OF_ONE_MACHINE = ("tmpfs", "ramfs", "overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs")


# ---- what the nodes must see


def unseen(paths: Mapping[str, Path]) -> list[str]:
    """A warning for each path that lies on a file system of this machine alone, by what it is."""
    found = []
    for what, path in paths.items():
        point, kind = _mounted(path)
        if kind in OF_ONE_MACHINE:
            found.append(
                f"{what} lies on this machine's own disk or memory ({path}: {kind} at {point}). The nodes must see it "
                "under the same path."
            )
    return found


def _mounted(path: Path, mounts: Path = Path("/proc/mounts")) -> tuple[str, str]:
    """Where the file system of a path is mounted, and its kind."""
    real = os.path.realpath(path)
    best = ("", "")
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return best
    for line in lines:
        _, point, kind, *_ = [*line.split(" "), "", "", ""]
        point = point.replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best
