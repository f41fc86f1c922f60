"""Rows from the model hub, through datasets and its cache."""

from mcqa import reach
from mcqa.config import DataConfig
from mcqa.data.formats import Rows
from mcqa.errors import DataError


def rows(config: DataConfig, split: str) -> Rows:
    """`where` is "<id>[<split>] row n", with n as in datasets: counted from 0.

    Raises:
        DataError: offline, not found, gated, no such configuration or split; with what to do about it.
    """
    from datasets import load_dataset  # 1.5 s

    assert config.hub is not None, "a rule of the configuration"
    reach.ask_hub_where_it_answers()
    try:
        found = load_dataset(config.hub, config.hub_config, split=split, revision=config.revision)
    except Exception as error:  # datasets raises from several libraries, and all of it is about the hub
        raise DataError(f"{config.hub}[{split}]: {_first_line(error)} {_advice(error, config)}") from error
    for number, row in enumerate(found):
        yield f"{config.hub}[{split}] row {number}", dict(row)


def _first_line(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _advice(error: Exception, config: DataConfig) -> str:
    if "gated" in str(error).lower():
        page = f"https://huggingface.co/datasets/{config.hub}"
        return f"Accept its terms at {page} and log in with `hf auth login`."
    if isinstance(error, ValueError) and "cache" not in str(error):  # which it lacks, without a network
        return "See data.hub_config, data.splits and data.revision."
    if isinstance(error, FileNotFoundError):
        return "Is data.hub spelt right? A private set needs `hf auth login`."
    return (
        f"{reach.advice()}. Or fetch it with `hf download {config.hub} --repo-type dataset --local-dir <folder>` "
        "and set data.path to the folder in it that holds the Parquet files."
    )
