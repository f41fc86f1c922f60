"""What is looked up in the folders of earlier runs."""

import pytest

from mcqa.runs.lookup import seconds_of


@pytest.mark.parametrize(
    "content",
    ["", "[", "[1]", '{"status": 5, "seconds": 3}', '{"status": "failed", "seconds": 3}']
    + [f'{{"status": "complete", "seconds": {seconds}}}' for seconds in ('"x"', "[1]", "null", "NaN", "-1", "1e999")],
)
def test_a_run_whose_result_does_not_say_how_long_it_took_does_not_count(tmp_path, content):
    (tmp_path / "odd.json").write_text(content)
    (tmp_path / "whole.json").write_text('{"status": "complete", "seconds": 12}')
    assert seconds_of([tmp_path / "odd.json", tmp_path / "whole.json", tmp_path / "missing.json"]) == [12.0]
