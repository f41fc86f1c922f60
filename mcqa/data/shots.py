"""Shots of everything that is measured: each further set takes them from its own train split, where it has one."""

from mcqa.config.schema import GENERATED, Config, DataConfig
from mcqa.data import files
from mcqa.data.loading import Data, is_single_file, load
from mcqa.data.prompts import Shots
from mcqa.data.question import Question


def shots_of(config: Config, data: Data) -> Shots:
    """Return the shots of data from its train, and of each further set from its own; notes of data say whose they are.

    lm-evaluation-harness takes them from the task's own training split too.

    Raises:
        DataError: a train split cannot be read, or has too few questions.
    """
    train = data.splits.get("train", [])
    if not config.prompt.shots:
        return Shots(config.prompt, train)
    sets = {further.name: further.data for further in config.evaluation.sets if further.name in data.splits}
    if config.evaluation.dev is not None and "dev" in data.splits:
        sets["dev"] = config.evaluation.dev.data
    pools: dict[str, list[Question]] = {}
    for name, own in sets.items():
        whose = config.data
        if _source(own) != _source(config.data) and _has_train(own):
            pools[name], whose = load(own, ["train"]).splits["train"], own
        data.notes.append(f"{name}: shots are train questions of {whose.name}")
    return Shots(config.prompt, train, pools)


def _source(data: DataConfig) -> tuple[str | None, ...]:
    return data.path or data.hub or data.reader, data.hub_config, data.splits.train


def _has_train(data: DataConfig) -> bool:
    if data.splits.train is None or is_single_file(data):
        return False
    if data.reader in GENERATED:
        return True
    return data.path is None or files.has_split(files.existing_path(data.path), data.splits.train)
