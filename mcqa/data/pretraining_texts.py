"""Sentences for objective=pretrain."""

from pathlib import Path

from mcqa.config.errors import DataError
from mcqa.config.schema import DataConfig


def load(config: DataConfig) -> list[str]:
    """The sentences of data.texts, or none where it is null.

    Raises:
        DataError: when the file is not there, is not UTF-8 text or is empty.
    """
    if config.texts is None:
        return []
    if config.texts == "facts":
        from mcqa.data import facts

        return facts.statements()
    path = Path(config.texts).expanduser()
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except OSError as error:
        raise DataError(
            f"data.texts={config.texts}: {error.strerror or error}. Give `facts` or a text file."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.texts={config.texts}: not UTF-8 text (byte {error.start}).") from error
    if not any(lines):
        raise DataError(f"data.texts={config.texts}: the file has no text in it.")
    return [line for line in lines if line]
