"""--help lists every option with its meaning, and every key with its comment, from the files that have them."""

from dataclasses import fields

from mcqa.config import help
from mcqa.config.composition import ROOT
from mcqa.config.schema import DataConfig, OptimizerConfig


def lines(text):
    return [line.strip() for line in text.splitlines()]


def test_every_option_of_every_group_has_a_line():
    shown = [line.split()[0] for line in lines(help.options_text()) if line]
    for path in (ROOT / "conf").glob("*/*.yaml"):
        if path.parent.name not in ("hydra", "site"):
            assert path.stem in shown


def test_every_key_has_a_line_with_the_default_of_the_run():
    shown = [line.split()[0] for line in lines(help.keys_text()) if line]
    assert "seed=0" in shown and "data.name=facts" in shown and "data.columns.answer=answer" in shown
    assert "optimizer.groups.linear.weight_decay=null" in shown
    names = {word.partition("=")[0] for word in shown}
    for group, kind in (("data", DataConfig), ("optimizer", OptimizerConfig)):
        for field in fields(kind):
            key = f"{group}.{field.name}"
            assert key in names or any(name.startswith(f"{key}.") for name in names), key


def test_a_comment_goes_on_below_itself_where_the_terminal_is_narrow(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(len(line) for line in help.options_text().splitlines()) <= 80


def test_an_option_of_the_users_own_is_listed(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.yaml").write_text("# Questions of mine.\n")
    monkeypatch.setattr("sys.argv", ["mcqa.train", "--config-dir", str(tmp_path), "--help"])
    assert any(line.split() == ["mine", "Questions", "of", "mine."] for line in lines(help.options_text()))
