"""Whether a folder is on a file system that other machines see too."""

import os
from collections.abc import Mapping
from pathlib import Path

LOCAL_FILE_SYSTEMS = ("tmpfs", "ramfs", "overlay", "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs")


def unseen(paths: Mapping[str, Path]) -> list[str]:
    """Return a warning for each path, by what it is, that is on a file system of this machine alone."""
    warnings = []
    for what, path in paths.items():
        point, kind = _mounted(path)
        if kind in LOCAL_FILE_SYSTEMS:
            warnings.append(
                f"{what} is on this machine's own disk or memory ({path}: {kind} at {point}). The nodes must see it "
                "under the same path."
            )
    return warnings


def _mounted(path: Path, mounts: Path = Path("/proc/mounts")) -> tuple[str, str]:
    """Return where the file system of a path is mounted, and its kind; empty where the system does not say."""
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
