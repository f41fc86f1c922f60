"""Further question sets are named by an option of data, and stored with all of its keys."""

import subprocess
import sys
from copy import deepcopy

import pytest
import yaml
from hydra import initialize_config_dir

from mcqa.config import question_sets
from mcqa.config.composition import ROOT, compose
from mcqa.config.diagnosis import diagnosis
from mcqa.config.errors import ConfigError
from mcqa.config.question_sets import name_of_file
from mcqa.config.rules import is_name
from mcqa.config.schema import Config, EvaluateConfig
from mcqa.config.validation import typed
from mcqa.runs.repeat import with_overrides


def evaluation(*overrides, name="config", config_dir=None):
    return compose(name, list(overrides), config_dir)["evaluation"]


def sets(text, **kwargs):
    return evaluation(f"evaluation.sets={text}", **kwargs)["sets"]


def data(*overrides):
    return compose("config", list(overrides))["data"]


def problems(*overrides, name="config", kind=Config):
    """What a command line is refused for."""
    with pytest.raises(ConfigError) as error:
        typed(compose(name, list(overrides)), kind)
    return [line.strip() for line in str(error.value).splitlines()[1:]]


# --- from a name to all keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["arc_easy", "mmlu", "facts"])
def test_a_set_is_its_option_of_data_with_all_keys(option):
    whole = data(f"data={option}")
    assert sets(f"[{option}]") == [{"name": option, "split": "test", "data": whole}]
    assert evaluation(f"evaluation.dev={option}")["dev"] == {"name": option, "split": "dev", "data": whole}


def test_sets_keep_their_order_and_none_is_no_set():
    assert [one["name"] for one in sets("[mmlu,facts,arc_easy]")] == ["mmlu", "facts", "arc_easy"]
    assert evaluation()["sets"] == []
    assert evaluation()["dev"] is None


def test_what_the_data_of_the_run_is_does_not_matter():
    changed_data = ["data=local", "data.path=mine.csv", "data.limit=5", "+experiment=smoke"]
    assert evaluation(*changed_data, "evaluation.sets=[arc_easy]")["sets"] == sets("[arc_easy]")


def test_a_mapping_says_what_is_to_be_different():
    (one,) = sets("[{data: arc_easy, path: here, split: dev, name: mine, limit: 3}]")
    assert (one["name"], one["split"]) == ("mine", "dev")
    assert one["data"] == data("data=arc_easy", "data.path=here", "data.limit=3")


def test_a_mapping_in_a_mapping_changes_single_keys():
    (one,) = sets("[{data: local, path: q.csv, columns: {question: Q}, splits: {test: held_out}}]")
    assert one["data"] == data(
        "data=local", "data.path=q.csv", "data.columns.question=Q", "data.splits.test=held_out"
    )  # fmt: skip


def test_a_key_may_become_null_or_a_mapping_where_it_was_none():
    (one,) = sets("[{data: local, path: q.csv, columns: null}]")
    assert one["data"]["columns"] is None
    columns = data("data=local")["columns"]
    given = ", ".join(f"{key}: {'null' if value is None else value}" for key, value in columns.items())
    (one,) = sets(f"[{{data: arc_easy, reader: local, columns: {{{given}}}}}]")
    assert one["data"]["columns"] == columns


def test_two_sets_of_one_option_do_not_touch_each_other():
    first, second = sets("[{data: local, path: a, name: a},{data: local, path: b, name: b}]")
    assert (first["data"]["path"], second["data"]["path"]) == ("a", "b")


@pytest.mark.parametrize(("name", "kind"), [("config", Config), ("evaluate", EvaluateConfig)])
def test_both_commands_take_sets(name, kind):
    overrides = ["evaluation.sets=[arc_easy,{data: mmlu, split: dev}]", "evaluation.dev=openbookqa"]
    config = typed(compose(name, overrides), kind)
    assert [(one.name, one.split, one.data.reader) for one in config.evaluation.sets] == [
        ("arc_easy", "test", "arc"),
        ("mmlu", "dev", "mmlu"),
    ]
    assert config.evaluation.dev.data.name == "openbookqa"


def test_complete_sets_stay_as_they_are_so_that_a_stored_configuration_means_the_same():
    config_dict = compose("config", ["evaluation.sets=[arc_easy]", "evaluation.dev={data: mmlu, name: m}"])
    again = deepcopy(config_dict)
    with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
        assert question_sets.expand(again, "config") == []
    assert again == config_dict
    assert yaml.safe_load(yaml.safe_dump(config_dict)) == config_dict


def test_a_stored_run_is_measured_on_the_complete_sets_that_the_command_line_names():
    stored = compose("config", ["evaluation.sets=[mmlu]", "evaluation.bootstrap=100"])
    overrides = ["evaluation.sets=[arc_easy]"]
    config_dict = with_overrides(stored, compose("evaluate", overrides), overrides, leave_out=())
    assert config_dict["evaluation"]["sets"] == sets("[arc_easy]")
    assert config_dict["evaluation"]["bootstrap"] == 100


# --- mistakes --------------------------------------------------------------------------------------------------------

KNOWN = f"known are {', '.join(sorted(path.stem for path in (ROOT / 'conf' / 'data').glob('*.yaml')))}."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[arc_eazy]", f"evaluation.sets[0]: 'arc_eazy' is no option of data; {KNOWN} Did you mean 'arc_easy'?"),
        ("[facts,xyz]", f"evaluation.sets[1]: 'xyz' is no option of data; {KNOWN}"),
        ("[{data: mnlu}]", f"evaluation.sets[0]: 'mnlu' is no option of data; {KNOWN} Did you mean 'mmlu'?"),
        ("[{path: q.csv}]", f"evaluation.sets[0]: does not say which option of data it is; {KNOWN}"),
        ("['null']", f"evaluation.sets[0]: 'null' is no option of data; {KNOWN}"),
        ("['[mmlu,xyz]']", f"evaluation.sets[0]: '[mmlu,xyz]' is no option of data; {KNOWN}"),
        ("[{data: facts, spilt: dev}]", "evaluation.sets[0].spilt: unknown key. Did you mean 'split'?"),
        ("[{data: facts, limits: 3}]", "evaluation.sets[0].limits: unknown key. Did you mean 'limit'?"),
        (
            "[{data: local, path: q, columns: {questoin: Q}}]",
            "evaluation.sets[0].data.columns.questoin: unknown key. Did you mean 'question'?",
        ),
        ("[{data: facts, licence: {a: 1}}]", "evaluation.sets[0].data.licence: must be a text, got {'a': 1}."),
        ("[{data: facts, split: val}]", "evaluation.sets[0].split: must be one of train, dev, test, got 'val'."),
        ("[3]", "evaluation.sets[0]: must be a mapping of keys, got 3."),
        ("[null]", "evaluation.sets[0]: must be a mapping of keys, got None."),
        ("arc_easy", "evaluation.sets: must be a list, got 'arc_easy'."),
    ],
)
def test_a_mistake_is_reported_with_the_place_and_the_nearest_name(text, told):
    assert problems(f"evaluation.sets={text}") == [told]


def test_the_set_that_steers_is_refused_in_the_same_words():
    (told,) = problems("evaluation.dev=arc_eazy")
    assert told.startswith("evaluation.dev: 'arc_eazy' is no option of data;")
    assert problems("evaluation.dev={data: facts, spilt: dev}") == [
        "evaluation.dev.spilt: unknown key. Did you mean 'split'?"
    ]


def test_everything_wrong_with_all_sets_is_reported_at_once():
    told = problems("evaluation.sets=[arc_eazy,{data: mmlu, spilt: dev, limits: 3},mnlu]", "evaluation.dev=x")
    assert [line.split(":")[0] for line in told] == [
        "evaluation.sets[0]",
        "evaluation.sets[1].spilt",
        "evaluation.sets[1].limits",
        "evaluation.sets[2]",
        "evaluation.dev",
    ]


def told_by(*arguments, cwd):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.stdout, [line.strip() for line in done.stderr.splitlines()]


@pytest.mark.slow
def test_mistakes_in_sets_are_reported_together_with_wrong_values(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    _, lines = told_by("mcqa.train", "evaluation.sets=[facts,arc_eazy]", "seed=x", cwd=tmp_path)
    assert [line.split(":")[0] for line in lines] == [
        "The configuration has 2 problems",
        "evaluation.sets[1]",
        "seed",
    ]


def test_mistakes_in_sets_are_reported_together_with_what_hydra_refuses():
    told = diagnosis("config", Config, ["peft=qlroa", "evaluation.sets=[arc_eazy]", "seed=x"], Exception("of Hydra"))
    assert [line.strip().split(":")[0] for line in str(told).splitlines()[1:]] == [
        "peft=qlroa",
        "evaluation.sets[0]",
        "seed",
    ]


# --- options of one's own --------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """A folder with an option data=mine of the user's own."""
    folder = tmp_path / "Größe (2), alt"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "mine.yaml").write_text("defaults:\n  - local\n\nname: mine\npath: mine.csv\n")
    return folder


def test_options_of_ones_own_are_sets_too(own):
    (one,) = sets("[{data: mine, split: dev}]", config_dir=str(own))
    assert (one["name"], one["split"], one["data"]["path"]) == ("mine", "dev", "mine.csv")
    assert one["data"]["columns"] == data("data=local")["columns"]


def test_options_of_ones_own_are_among_the_known_ones(own):
    with pytest.raises(ConfigError, match=r"known are .*, mine, .* Did you mean 'mine'\?"):
        sets("[mien]", config_dir=str(own))


def test_options_of_ones_own_are_no_mistake_beside_another_one(own):
    arguments = [f"--config-dir={own}", "peft=qlroa", "evaluation.sets=[mine]"]
    told = str(diagnosis("config", Config, arguments, Exception("of Hydra"))).splitlines()
    assert [line.strip().split(":")[0] for line in told[1:]] == ["peft=qlroa"]


@pytest.mark.slow
def test_a_search_path_on_the_command_line_is_followed(own, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = f"hydra.searchpath=['file://{own}']"
    _, lines = told_by("mcqa.train", path, "evaluation.sets=[mine,mien]", cwd=tmp_path)
    assert [line.split(":")[0] for line in lines[1:]] == ["evaluation.sets[1]"]
    assert lines[1].endswith("Did you mean 'mine'?")


@pytest.mark.slow
def test_a_command_takes_options_of_ones_own_as_sets(own, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "test.csv").write_text("question,A,B,answer\nWhich is a mammal?,Trout,Whale,1\n")
    sets = "evaluation.sets=[{data: mine, path: questions, columns: {choices: [A, B]}}]"
    shown, lines = told_by("mcqa.evaluate", "--config-dir", str(own), "splits=[]", sets, "dry_run=true", cwd=tmp_path)
    assert lines == [], lines
    assert "mine: 1 question" in shown
    assert "Which is a mammal?" in shown and "⟦ Whale⟧  the right answer" in shown


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (None, "local"),
        ("mine.csv", "mine"),
        ("~/questions/mine.jsonl.gz", "mine"),
        ("questions/v1.5", "v1.5"),
        ("exams/biology/", "biology"),
        ("my file (1).xlsx", "my_file_1_"),
        ("exams/test.csv", "exams_test"),
        ("exams/base_1.csv", "exams_base_1"),
        ("...", "local"),
    ],
)
def test_a_set_of_ones_own_is_called_as_its_file(path, name):
    assert name_of_file(path) == name
    assert is_name(name)


def test_data_and_further_sets_of_ones_own_are_named_by_their_files():
    assert data("data=local", "data.path=exams/mine.csv")["name"] == "mine"
    assert data("data=local", "data.hub=owner/exams")["name"] == "exams"
    assert data("data=local", "data.path=exams/mine.csv", "data.name=other")["name"] == "other"
    assert data("data=local")["name"] == "local"
    found = sets(
        "[{data: local, path: a/mine.csv}, {data: local, path: b.csv, name: its_own}, {data: arc_easy, path: c}]"
    )
    assert [one["name"] for one in found] == ["mine", "its_own", "arc_easy"]
    assert [one["data"]["name"] for one in found] == ["mine", "b", "arc_easy"]
