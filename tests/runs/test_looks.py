"""Looks at test: counted in the run's folder and told by its model card."""

import json

from mcqa.runs import looks


def run(folder, card="# a run\n\nLooks at test: 1 (mcqa.train, 2026-11-01).\n\n## Configuration\n"):
    (folder / "model").mkdir()
    (folder / "config.yaml").write_text("data: {name: facts}\n")
    (folder / "model" / "README.md").write_text(card)
    return folder


def card_of(folder):
    return (folder / "model" / "README.md").read_text()


def test_every_look_is_a_line_and_the_card_counts_those_at_its_own_questions(tmp_path):
    folder = run(tmp_path)
    looks.add(folder, "mcqa.train", "facts")
    looks.add_evaluation(folder, "facts")
    looks.add_evaluation(folder, "arc_easy")
    looks.update_card(folder)
    assert [look["by"] for look in looks.read(folder)] == ["mcqa.train", "mcqa.evaluate", "mcqa.evaluate"]
    line = next(line for line in card_of(folder).splitlines() if line.startswith("Looks at test: "))
    assert line.startswith("Looks at test: 2 (mcqa.train, 20") and "may fit test by chance" in line
    assert card_of(folder).endswith("\n\n## Configuration\n")


def test_a_run_of_an_earlier_version_has_looked_itself(tmp_path):
    folder = run(tmp_path, "# a run; test was measured once\n")
    (folder / "result.json").write_text("{}")
    looks.add_evaluation(folder, "facts")
    looks.update_card(folder)
    assert [look["by"] for look in looks.read(folder)] == ["mcqa.train", "mcqa.evaluate"]
    assert "\n\nLooks at test: 2 (" in card_of(folder)


def test_lines_that_cannot_be_read_are_left_out_and_the_next_look_begins_a_line(tmp_path):
    (tmp_path / looks.FILE).write_bytes(b'\xff\n[]\n{"time": 3}\n{"time": "2026')
    looks.add(tmp_path, "mcqa.evaluate", "facts")
    assert [look["data"] for look in looks.read(tmp_path)] == ["facts"]


def test_a_folder_that_cannot_be_written_costs_no_evaluation(tmp_path, caplog):
    looks.add(tmp_path / "nowhere", "mcqa.evaluate", "facts")
    looks.update_card(tmp_path / "nowhere")
    assert "this look at test is not counted" in caplog.text and looks.read(tmp_path / "nowhere") == []


def test_many_looks_are_told_in_a_line(tmp_path):
    (tmp_path / looks.FILE).write_text(
        "".join(json.dumps({"time": f"2026-11-{day:02}T", "by": "x", "data": "d"}) + "\n" for day in range(1, 21))
    )
    assert looks.times(looks.read(tmp_path)) == (
        "20 (x, 2026-11-01; x, 2026-11-02; x, 2026-11-03; 15 more; x, 2026-11-19; x, 2026-11-20)"
    )
