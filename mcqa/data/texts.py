"""The texts of data.texts, for objective=pretrain."""

from mcqa.config.errors import DataError
from mcqa.config.schema import DataConfig
from mcqa.data import facts, files, new_facts


def load_texts(config: DataConfig) -> list[str]:
    """Read the sentences of data.texts for objective=pretrain; an empty list where it is null.

    Raises:
        DataError: the file does not exist, is not UTF-8 text or is empty, or the facts have too few phrasings.
    """
    if config.texts is None:
        return []
    if config.texts == "facts":
        return facts.statements(config.paraphrases)
    if config.texts == "new_facts":
        return new_facts.statements(config.paraphrases or 1, config.reversed)
    try:
        text = files.locate("data.texts", config.texts).read_text("utf-8-sig")
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"data.texts={config.texts}: {reason}. Give `facts` or a text file.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"data.texts={config.texts}: not UTF-8 text (byte {error.start}).") from error
    if "\0" in text:
        raise DataError(f"data.texts={config.texts}: contains a NUL character. Was the file saved as UTF-16?")
    lines = [line.strip() for line in text.splitlines()]
    if not any(lines):
        raise DataError(f"data.texts={config.texts}: the file has no text in it.")
    return [line for line in lines if line]
