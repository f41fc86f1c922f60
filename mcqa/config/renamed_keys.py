"""Keys that had another name once, so that runs and studies stored under the old names can still be read."""

from copy import deepcopy

from mcqa.config.schema import ConfigDict

RENAMED = {"peft.r": "peft.rank", "peft.trains": "peft.trainable"}
"""Dotted names, before and now."""


def with_current_names(config_dict: ConfigDict) -> ConfigDict:
    """Return a stored configuration under the names that keys have now; one without old names as it is."""
    renamed = config_dict
    for old, new in RENAMED.items():
        *groups, old_key = old.split(".")
        section = _section(renamed, groups)
        if section is None or old_key not in section:
            continue
        renamed = deepcopy(config_dict) if renamed is config_dict else renamed
        section = _section(renamed, groups) or {}
        section[new.rpartition(".")[2]] = section.pop(old_key)
    return renamed


def _section(config_dict: ConfigDict, groups: list[str]) -> ConfigDict | None:
    section = config_dict
    for group in groups:
        if not isinstance(section := section.get(group), dict):
            return None
    return section
