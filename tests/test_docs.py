"""The documents name files that exist and commands that compose."""

import re
import shlex

import pytest

from mcqa.config.composition import ROOT, compose

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
COMMANDS = {"mcqa.train": "config", "mcqa.evaluate": "evaluate"}  # and the configuration that each composes


def code(text):
    """The lines of the code blocks, without comments; a backslash at its end joins a line with the next."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from (re.sub(r"\s+# .*", "", line) for line in re.sub(r"\\\n\s*", "", block).splitlines())


def commands():
    """The name of the configuration and the overrides of each command that needs no folder of the reader's options."""
    for path in DOCUMENTS:
        for line in code(path.read_text("utf-8")):
            words = shlex.split(re.sub(r"<[^>]*>", "a/folder", line)) if line.startswith("python -m ") else []
            if len(words) > 2 and words[2] in COMMANDS and "--config-dir" not in words:
                overrides = [word for word in words[3:] if not word.startswith("--")]
                if "--multirun" in words or words[2] == "mcqa.evaluate":  # the first value of each list
                    overrides = [re.sub(r"=([^,\[]+),.*", r"=\1", word) for word in overrides]
                yield pytest.param(COMMANDS[words[2]], overrides, id=" ".join(words[2:]))


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_link_leads_to_a_file_and_a_heading(path):
    for target, heading in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", path.read_text("utf-8")):
        file = path.parent / target if target else path
        assert file.is_file(), target
        if heading:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings]


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_file_of_the_project_that_is_named_is_there(path):
    named = re.findall(r"`((?:mcqa|conf|sweeps|tests|benchmarks|docs|hydra_plugins)/[\w./]*)`", path.read_text("utf-8"))
    missing = [name for name in named if name != "mcqa/conf" and not (ROOT / name).exists()]  # that of the wheel
    assert not missing


@pytest.mark.parametrize(("config_name", "overrides"), commands())
def test_every_command_composes(config_name, overrides):
    assert compose(config_name, overrides)


@pytest.mark.parametrize("group", sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir()))
def test_the_readme_lists_every_option_of_a_group(group):
    (row,) = re.findall(rf"^\| `{group}` \| (.*) \|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE) or [None]
    if row is None:
        assert group in ("experiment", "hydra", "site", "sweeps")
        return
    options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
    listed = re.findall(r"`(\w+)`", row)
    if "` to `" not in row:  # which stands for those between
        assert options == set(listed)
    assert set(listed) <= options


def test_the_rooms_of_the_house_are_those_of_mcqa():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rooms = {path.name for path in (ROOT / "mcqa").iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert set(re.findall(r"^\| `(\w+)/` \|", text, re.MULTILINE)) == rooms
