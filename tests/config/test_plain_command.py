import pytest

from mcqa.config.errors import McqaError
from mcqa.config.plain_command import plain_command


@pytest.mark.parametrize(
    ("error", "told"), [(KeyboardInterrupt(), "Stopped."), (McqaError("what is wrong"), "what is wrong")]
)
def test_stopping_and_mistakes_end_without_a_traceback(error, told):
    def stopped(_):
        raise error

    with pytest.raises(SystemExit) as ended:
        plain_command(stopped)
    assert ended.value.code == told
