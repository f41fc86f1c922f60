"""A stored configuration once more."""

from mcqa.config.composition import compose
from mcqa.runs.repeat import with_overrides


def test_the_command_line_changes_a_stored_tree_by_whole_groups_and_by_keys():
    stored = compose("config", ["seed=1", "data.limit=5", "hardware.micro_batch_size=3"])
    overrides = ["data=arc_easy", "+seed=2", "outputs=elsewhere"]
    asked = compose("config", ["data=arc_easy", "seed=2", "outputs=elsewhere"])
    config_dict = with_overrides(stored, asked, overrides, leave_out={"outputs"})
    assert config_dict["data"] == asked["data"]
    assert (config_dict["seed"], config_dict["outputs"], config_dict["hardware"]["micro_batch_size"]) == (
        2,
        "outputs",
        3,
    )
    assert stored["seed"] == 1
