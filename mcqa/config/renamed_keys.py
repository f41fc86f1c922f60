"""Keys that had another name once, so that runs and studies stored under the old names can still be read."""

from copy import deepcopy

from mcqa.config.schema import ConfigDict

RENAMED = {"peft.r": "peft.rank", "peft.trains": "peft.trainable"}
"""Names before and now, both as `group.key` of the same group."""


def current_name(key: str) -> str:
    """Return the name that a dotted key has now."""
    return RENAMED.get(key, key)


def with_current_names(config_dict: ConfigDict) -> ConfigDict:
    """Return a stored configuration under the names that keys have now."""
    renamed = deepcopy(config_dict)
    for old, new in RENAMED.items():
        group, key = old.split(".")
        if isinstance(section := renamed.get(group), dict) and key in section:
            section[new.split(".")[1]] = section.pop(key)
    return renamed
