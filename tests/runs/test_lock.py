"""The lock of a folder: one process at a time, and an error that names it."""

import os
import platform
import signal
import subprocess
import sys

import pytest

from mcqa.config.errors import ConfigError
from mcqa.runs.lock import only_process

NAMES = ("process", "is being run", "Stop it first.")


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock until it is killed."""
    code = (
        "import sys, time, pathlib\n"
        "from mcqa.runs.lock import only_process\n"
        f"with only_process(pathlib.Path(sys.argv[1]), *{NAMES!r}):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path, holder):
    place = f"{tmp_path} is being run by process {holder.pid} on {platform.node()}. Stop it first."
    with pytest.raises(ConfigError) as refused, only_process(tmp_path, *NAMES):
        pass
    assert str(refused.value) == place
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with only_process(tmp_path, *NAMES):
        assert str(os.getpid()) in (tmp_path / "process.json").read_text()


@pytest.mark.slow
def test_a_job_waits_for_a_process_that_is_still_ending(tmp_path, holder):
    subprocess.Popen([sys.executable, "-c", f"import os, time; time.sleep(0.5); os.kill({holder.pid}, 9)"])
    with only_process(tmp_path, *NAMES, timeout_s=30):
        pass


def test_the_lock_is_released_after_an_error_too(tmp_path):
    with pytest.raises(RuntimeError), only_process(tmp_path, *NAMES):
        raise RuntimeError
    with only_process(tmp_path, *NAMES):
        pass


def test_a_folder_that_cannot_be_locked_is_an_error_with_its_cause(tmp_path):
    (tmp_path / "process.lock").mkdir()
    with pytest.raises(ConfigError, match="cannot be locked: .*directory"), only_process(tmp_path, *NAMES):
        pass
