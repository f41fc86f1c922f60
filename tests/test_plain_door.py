import pytest

from mcqa.errors import McqaError
from mcqa.plain_door import open_door


@pytest.mark.parametrize(
    ("error", "told"), [(KeyboardInterrupt(), "Stopped."), (McqaError("what is wrong"), "what is wrong")]
)
def test_stopping_and_mistakes_end_without_a_traceback(error, told):
    def stopped(_):
        raise error

    with pytest.raises(SystemExit) as ended:
        open_door(stopped)
    assert ended.value.code == told
