from pathlib import Path

import pytest

from mcqa.runs import filesystem


def test_a_file_system_of_one_machine_is_found_by_where_it_is_mounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw\nb /tmp tmpfs rw\nc /proj lustre rw\nd /proj\\040here nfs4 rw\n")
    kinds = {
        path: filesystem._mounted(Path(path), mounts)
        for path in ("/usr", "/tmp/x", "/proj/a", "/proj here/a", "/projx")
    }
    assert {path: kind for path, (_, kind) in kinds.items()} == {
        "/usr": "ext4", "/tmp/x": "tmpfs", "/proj/a": "lustre", "/proj here/a": "nfs4", "/projx": "ext4",
    }  # fmt: skip
    monkeypatch.setattr(filesystem, "_mounted", lambda path: kinds[str(path)])
    (warning,) = filesystem.unseen({"The cache": Path("/tmp/x"), "Python": Path("/proj/a")})
    assert warning.startswith("The cache is on this machine's own disk or memory (/tmp/x: tmpfs at /tmp)")
