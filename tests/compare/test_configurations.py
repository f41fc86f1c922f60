"""Which runs are one configuration, what they are called, and what else differs."""

import json
from dataclasses import replace

import pytest

from mcqa.compare import sentences
from mcqa.compare.configurations import group_runs
from mcqa.compare.runs import find
from mcqa.config.errors import ConfigError
from tests.compare.finished_runs import answered, asked, grouped, make_run

RIGHT = [True, False, True]


def labels(*runs):
    return [found.label for found in grouped(*runs).configurations]


def test_runs_that_differ_in_nothing_but_the_seed_are_one_configuration(tmp_path):
    runs = [make_run(tmp_path, f"a{seed}", RIGHT, seed=seed) for seed in (0, 1)]
    runs += [make_run(tmp_path, f"b{seed}", RIGHT, seed=seed, optimizer__learning_rate=0.01) for seed in (0, 1)]
    found = grouped(*runs)
    assert [len(one.predictions) for one in found.configurations] == [2, 2]
    assert [one.label for one in found.configurations] == ["learning_rate=0.001", "learning_rate=0.01"]
    assert dict(found.differing) == {"optimizer.learning_rate": ("0.001", "0.01")}


@pytest.mark.parametrize("key", ["order_seed", "data__seed"])
def test_runs_that_differ_in_another_seed_alone_are_one_configuration(key, tmp_path):
    runs = [make_run(tmp_path, f"a{seed}", RIGHT, **{key: seed}) for seed in (1, 2)]
    runs += [make_run(tmp_path, "b", RIGHT, optimizer__learning_rate=0.01, **{key: 1})]
    found = grouped(*runs)
    name = key.replace("__", ".")
    assert [len(configuration.runs) for configuration in found.configurations] == [2, 1]
    assert dict(found.differing) == {"optimizer.learning_rate": ("0.001", "0.01"), name: ("1, 2", "1")}


def test_an_order_that_follows_the_seed_and_one_that_is_given_as_the_same_are_no_two_seeds(tmp_path):
    runs = [make_run(tmp_path, f"a{order}", RIGHT, order_seed=order) for order in (None, 0)]
    assert [len(configuration.runs) for configuration in grouped(*runs).configurations] == [1, 1]


def test_names_places_and_tracking_make_no_other_configuration(tmp_path):
    one = make_run(tmp_path, "a", RIGHT, seed=1, name="one", tracking__experiment="x", outputs="here")
    other = make_run(tmp_path, "b", RIGHT, seed=2, name="other", tracking__experiment="y", outputs="there")
    third = make_run(tmp_path, "c", RIGHT, prompt__style="letters")
    assert [len(found.predictions) for found in grouped(one, other, third).configurations] == [2, 1]


def test_what_is_only_faster_or_measured_beside_is_shown_apart(tmp_path):
    one = make_run(tmp_path, "a", RIGHT, hardware__micro_batch_size=8, evaluation__bootstrap=None)
    other = make_run(tmp_path, "b", RIGHT, seed=1, hardware__micro_batch_size=4, evaluation__bootstrap=100)
    third = make_run(tmp_path, "c", RIGHT, hardware__micro_batch_size=8, evaluation__bootstrap=None, peft__rank=4)
    found = grouped(one, other, third)
    assert dict(found.speed_only) == {
        "hardware.micro_batch_size": ("8, 4", "8"),
        "evaluation.bootstrap": ("null, 100", "null"),
    }
    assert dict(found.differing) == {"peft.rank": ("absent", "4"), "seed": ("0, 1", "0")}


@pytest.mark.parametrize(
    ("data", "configurations"),
    [
        ({"data__splits__dev": "dev", "data__path": None}, 1),
        ({"data__splits__dev": "dev", "data__path": "folder"}, 1),
        ({"data__splits__dev": "dev", "data__path": "all.csv"}, 2),
        ({"data__splits__dev": None, "data__path": None}, 2),
    ],
)
def test_how_questions_are_cut_matters_where_any_are_cut(tmp_path, data, configurations):
    by = ("question", "cluster", "cluster")
    runs = [make_run(tmp_path, f"{n}", RIGHT, seed=n, data__split_by=one, **data) for n, one in enumerate(by)]
    other = make_run(tmp_path, "other", RIGHT, data__split_by="cluster", prompt__style="letters", **data)
    assert len(grouped(*runs, other).configurations) == 1 + configurations


def test_precision_changes_what_is_learned(tmp_path):
    runs = [make_run(tmp_path, name, RIGHT, hardware__precision=name) for name in ("bf16", "fp32")]
    assert labels(*runs) == ["precision=bf16", "precision=fp32"]
    runs = [make_run(tmp_path, f"{value}", RIGHT, hardware__tf32=value) for value in (False, True)]
    assert labels(*runs) == ["tf32=false", "tf32=true"]


def test_groups_of_parameters_that_are_all_treated_alike_are_as_none(tmp_path):
    def group(factor):
        return {"pattern": "lora_B", "learning_rate_factor": factor, "max_grad_norm": None, "weight_decay": None}

    runs = [
        make_run(tmp_path, f"r{number}", RIGHT, seed=number % 3, optimizer__groups=groups)
        for number, groups in enumerate([{}, {"b": group(1)}, {"mine": group(1.0)}, {"b": group(16)}])
    ]
    found = grouped(*runs)
    assert [len(one.predictions) for one in found.configurations] == [3, 1]
    assert found.differing["optimizer.groups.b.learning_rate_factor"] == ("absent", "16")


def test_a_micro_batch_that_decides_the_batch_size_changes_what_is_learned(tmp_path):
    changes = {"optimizer__batch_size": None}
    runs = [make_run(tmp_path, f"r{size}", RIGHT, hardware__micro_batch_size=size, **changes) for size in (4, 8)]
    assert labels(*runs) == ["micro_batch_size=4", "micro_batch_size=8"]


def test_the_same_configuration_and_seed_twice_is_no_second_seed(tmp_path):
    one, other = make_run(tmp_path, "first", RIGHT), make_run(tmp_path, "second", RIGHT)
    assert labels(one, other) == ["mine first", "mine second"]


def test_a_chosen_option_names_its_group_alone(tmp_path):
    one = make_run(tmp_path, "a", RIGHT, model__name="small", model__path="hub/small")
    other = make_run(tmp_path, "b", RIGHT, model__name="large", model__path="hub/large")
    assert labels(one, other) == ["model=small", "model=large"]


def test_keys_with_the_same_last_part_are_written_out(tmp_path):
    one = make_run(tmp_path, "a", RIGHT, data__limit=1, prompt__limit=1)
    other = make_run(tmp_path, "b", RIGHT, data__limit=2, prompt__limit=2)
    assert labels(one, other) == ["data.limit=1 prompt.limit=1", "data.limit=2 prompt.limit=2"]


def test_where_many_keys_differ_the_names_of_the_runs_are_shorter(tmp_path):
    one = make_run(tmp_path, "a", RIGHT, name="one", **{f"group__{key}": 1 for key in "abcd"})
    other = make_run(tmp_path, "b", RIGHT, name="other", **{f"group__{key}": 2 for key in "abcd"})
    assert labels(one, other) == ["one", "other"]


def test_a_run_alone_is_compared_with_its_base(tmp_path):
    found = grouped(make_run(tmp_path, "a", RIGHT, base=[False, False, True]))
    assert [one.label for one in found.configurations] == ["base", "fine-tuned"]
    assert [[row.correct for row in one.predictions[0]] for one in found.configurations] == [
        [False, False, True],
        RIGHT,
    ]


def test_a_base_that_every_seed_shares_counts_once_and_has_no_seed(tmp_path):
    runs = [make_run(tmp_path, f"s{seed}", RIGHT, base=[False] * 3, seed=seed) for seed in (0, 1)]
    base, tuned = grouped(*runs).configurations
    assert (len(base.predictions), base.trained) == (1, False)
    assert (len(tuned.predictions), tuned.trained) == (2, True)


def test_a_base_whose_weights_the_seed_made_has_seeds(tmp_path):
    runs = [make_run(tmp_path, f"s{seed}", RIGHT, base=[bool(seed)] * 3, seed=seed) for seed in (0, 1)]
    base = grouped(*runs).configurations[0]
    assert (len(base.predictions), base.trained) == (2, True)


def test_a_run_alone_without_a_base_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="name a run of another configuration too"):
        grouped(make_run(tmp_path, "a", RIGHT))


def test_a_run_named_twice_is_refused(tmp_path):
    folder = make_run(tmp_path, "a", RIGHT)
    with pytest.raises(ConfigError, match="named twice"):
        grouped(folder, folder.parent / "." / "a" / ".." / "a")


def test_a_run_named_by_its_folder_and_by_its_id_is_one_run(tmp_path):
    """Its folder lies elsewhere than where ids are looked for, so that MLflow gave a copy."""
    folder, other = make_run(tmp_path, "a", RIGHT), make_run(tmp_path, "b", RIGHT, peft__rank=2)
    (folder / "tracking.json").write_text(json.dumps({"run_id": "f" * 32}))
    chosen = asked(folder)
    one = find(str(folder), chosen, "nowhere")
    copy = replace(one, folder=other, shown="f" * 32, downloaded=True)
    with pytest.raises(ConfigError, match=f"{'f' * 32} are one run, named twice"):
        group_runs([one, copy], chosen)
    untracked = [replace(find(str(path), chosen, "nowhere"), mlflow_id=None) for path in (folder, other)]
    assert len(group_runs(untracked, chosen).configurations) == 2


def test_a_model_measured_without_training_is_not_taken_for_the_trained_one(tmp_path):
    """mcqa.evaluate on a saved run keeps that run's configuration; on a model it has run: null."""
    trained = make_run(tmp_path, "a", RIGHT)
    again = make_run(tmp_path, "b", RIGHT, run="outputs/runs/mine/a", splits=["test"])
    untouched = make_run(tmp_path, "c", RIGHT, run=None, splits=["test"], optimizer__learning_rate=5, peft__rank=8)
    assert labels(trained, again) == ["mine a", "mine b"]
    found = grouped(trained, untouched)
    assert dict(found.differing) == {"trained": ("true", "false")}
    assert [one.label for one in found.configurations] == ["trained", "untrained"]
    assert [one.trained for one in found.configurations] == [True, False]
    assert "measured without training" in " ".join(sentences.remarks(found))


def test_a_run_that_trained_nothing_is_one_model_whatever_its_seed_and_has_no_before_and_after(tmp_path):
    none = {"objective__name": "none"}
    runs = [make_run(tmp_path, str(seed), RIGHT, base=RIGHT, seed=seed, **none) for seed in (0, 1)]
    found = grouped(make_run(tmp_path, "a", RIGHT, objective__name="sft"), *runs)
    assert [(one.label, one.trained, len(one.predictions)) for one in found.configurations] == [
        ("trained", True, 1),
        ("untrained", False, 1),
    ]
    with pytest.raises(ConfigError, match="no predictions from before training"):
        grouped(*runs)


def test_retrieval_makes_another_configuration_of_the_same_questions(tmp_path):
    """Of a model that was not trained too."""
    told = answered([True] * 4, retrieved=("Elms are trees.",))
    for name, run in (("trained", {}), ("untrained", {"run": None, "splits": ["test"]})):
        plain = make_run(tmp_path / name, "a", [False] * 4, evaluation__context=None, evaluation__passages=None, **run)
        given = make_run(tmp_path / name, "b", told, evaluation__context="bm25", evaluation__passages="facts", **run)
        found = grouped(plain, given)
        assert dict(found.differing)["evaluation.context"] == ("null", "bm25")
        assert len(found.configurations) == 2


def test_another_prompt_or_model_is_remarked_on(tmp_path):
    one = make_run(tmp_path, "a", RIGHT, prompt__style="cloze", model__path="x")
    other = make_run(tmp_path, "b", RIGHT, prompt__style="letters", model__path="y")
    prompt, model = sentences.remarks(grouped(one, other))
    assert prompt.startswith("The prompt differs (prompt.style)")
    assert model.startswith("The model differs (model.path)")


def test_other_training_questions_code_and_packages_are_remarked_on(tmp_path):
    def environment(number):
        return {
            "git_commit": f"{number}" * 40,
            "git_dirty": False,
            "packages": {"torch": f"2.{number}", "trl": "1"},
            "fingerprints": {"train": f"{number}", "test": "same", "tokenizer": f"{number}"},
        }

    runs = [make_run(tmp_path, f"r{i}", RIGHT, peft__rank=i, environment=environment(i)) for i in (1, 2)]
    message = "\n".join(sentences.remarks(grouped(*runs)))
    assert "The training questions differ though the data keys do not" in message
    assert "The tokenizers differ" in message
    assert "commits 11111111, 22222222" in message
    assert "Package versions differ: torch 2.1, 2.2." in message


def test_equal_environments_need_no_remark(tmp_path):
    runs = [make_run(tmp_path, f"r{i}", RIGHT, peft__rank=i) for i in (1, 2)]
    assert sentences.remarks(grouped(*runs)) == []
