import sys
from types import SimpleNamespace

import pytest

from mcqa.config.errors import McqaError
from mcqa.config.plain_command import command_line, plain_command


@pytest.mark.parametrize(
    ("error", "told"), [(KeyboardInterrupt(), "Stopped."), (McqaError("what is wrong"), "what is wrong")]
)
def test_stopping_and_mistakes_end_without_a_traceback(error, told):
    def stopped(_):
        raise error

    with pytest.raises(SystemExit) as ended:
        plain_command(stopped)
    assert ended.value.code == told


@pytest.mark.parametrize(
    ("module", "command"), [(None, "my/app.py"), ("mcqa.train", "-m mcqa.train"), ("report.__main__", "-m report")]
)
def test_the_command_line_can_be_pasted_into_a_shell_and_shows_no_secret(monkeypatch, module, command):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", module and SimpleNamespace(name=module))
    monkeypatch.setattr(sys, "argv", ["my/app.py", "x=interval(0,1)", "tracking.uri=https://me:secret@host"])
    assert command_line(["y=1"]) == f"python {command} 'x=interval(0,1)' tracking.uri=https://[redacted]@host y=1"
