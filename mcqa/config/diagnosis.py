"""Everything wrong with a command line that Hydra refused.

Hydra stops at its first complaint. When it refuses to compose, the command line is composed again leniently, so
that every misspelled option and key, and everything wrong with the values, is reported at once.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from mcqa.config.composition import ROOT, compose_with_problems, searchpath_override, sweep_overrides
from mcqa.config.errors import ConfigError, listing, nearest
from mcqa.config.hydra_errors import COMPOSITION_ERRORS, first_lines
from mcqa.config.question_sets import options
from mcqa.config.schema import Config, ConfigDict
from mcqa.config.validation import members, problems_of

OF_YOUR_OWN = {"model": "a model of yours or on the hub", "data": "a question set of yours or on the hub"}
"""What may stand where an option of these groups is expected."""


def diagnosis(config_name: str, kind: type[Config], arguments: list[str], error: Exception) -> ConfigError:
    """Return everything wrong with a command line that Hydra refused with `error`."""
    GlobalHydra.instance().clear()
    known, _ = get_args_parser().parse_known_args(arguments)
    problems = [
        f"{text}: a list of values needs --multirun, which runs each; one value with a comma in it needs quotes."
        for text in sweep_overrides(arguments)
    ]
    if known.config_dir and not Path(known.config_dir).is_dir():
        problems.append(f"--config-dir {known.config_dir}: there is no such folder here.")
        known.config_dir = None
    config_name, search = known.config_name or config_name, searchpath_override(known.config_dir)
    problems += _chosen_twice(known.overrides)
    with initialize_config_dir(config_dir=str(ROOT / "conf"), version_base="1.3"):
        kept = list(_lenient(known.overrides, search, problems))
        kept = list(_known_to_hydra(kept, config_name, search, problems))
    try:
        config_dict, problems_of_sets = compose_with_problems(config_name, kept, known.config_dir)
        problems += with_value_problems(problems_of_sets, config_dict, kind)
    except ConfigError as second:
        problems += str(second).splitlines()[1:2] if not problems else []
    return ConfigError(listing([problem.strip() for problem in problems] or [first_lines(error)]))


def with_value_problems(problems: list[str], config_dict: ConfigDict, kind: type[Config]) -> list[str]:
    """Return `problems`, and those of values that none of them is about.

    Of a run that is stored, Hydra knows only the overrides: what goes together is then checked when it has been read.
    """
    reported, more = {problem.split(": ")[0] for problem in problems}, list[str]()
    if any(config_dict.get(key) is not None for key in ("from_run", "run", "resume")):
        members(kind, config_dict, "", more)
    else:
        more = problems_of(config_dict, kind)[1]
    return problems + [problem for problem in more if problem.split(": ")[0] not in reported]


def _chosen_twice(overrides: list[str]) -> Iterator[str]:
    """Yield a line for each group from which two options are added, which Hydra refuses in words for YAML files."""
    added = [text for text in overrides if re.match(r"\+\w+=", text)]
    for group, count in Counter(text.partition("=")[0] for text in added).items():
        if count > 1:
            chosen = " and ".join(text for text in added if text.startswith(f"{group}="))
            yield f"{chosen}: one at a time; a run has one {group[1:]}, and keys beside it change what it says."


def _lenient(overrides: list[str], search: list[str], problems: list[str]) -> Iterator[str]:
    """Yield the overrides that can be composed; the problems of the others go into `problems`."""
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException as error:
            problems.append(f"{text}: {_not_parsed(text, error)}")
            continue
        key = override.key_or_group
        if key.startswith("hydra"):
            yield text
            continue
        known = options(key, search)
        try:
            sweep = override.is_sweep_override()
            value = next(iter(override.sweep_string_iterator()), None) if sweep else override.value()
        except HydraException:  # an interval or a glob, which the sweeper draws from
            continue
        if known and isinstance(value, str):
            if value not in known:
                problems.append(f"{key}={value}: {_no_such_option(value, known, key)}")
            elif key in ("experiment", "sweeps") and not override.is_add():
                problems.append(f"{text}: not chosen by default, so it needs a plus: +{text}")
            else:
                yield f"{text[: text.index('=')]}={value}"
        elif override.is_delete():
            yield text
        else:
            yield f"++{key}={value if sweep else text[text.index('=') + 1 :]}"


def _known_to_hydra(overrides: list[str], config_name: str, search: list[str], problems: list[str]) -> Iterator[str]:
    """Yield the overrides without unknown keys and options of Hydra's own; these go into `problems`."""
    keys = [text for text in overrides if text.startswith("hydra.")]
    chosen = [text for text in overrides if text not in keys]
    wrong = {text: problem for text in chosen if (problem := _problem_of_option(text, search))}
    kept = [text for text in chosen if text not in wrong]
    with suppress(*COMPOSITION_ERRORS):  # reported by whoever composes next
        composed = hydra_compose(config_name, kept + search, return_hydra_config=True)
        node = cast(ConfigDict, OmegaConf.to_container(composed.hydra, resolve=False))
        wrong |= {text: problem for text in keys if (problem := _problem_of_key(text, node))}
    problems += wrong.values()
    yield from (text for text in overrides if text not in wrong)


def _problem_of_option(text: str, search: list[str]) -> str | None:
    """Return what is wrong with `hydra/group=option`; Hydra and its plugins say which options there are."""
    group, _, option = text.partition("=")
    if not group.startswith("hydra/") or not option.isidentifier():
        return None
    known = options(group, search)
    return f"{text}: {_no_such_option(option, known)}" if known and option not in known else None


def _no_such_option(option: str, known: list[str], group: str = "") -> str:
    if group in OF_YOUR_OWN and ("/" in option or Path(option).exists()):
        key = "hub" if group == "data" and not Path(option).expanduser().exists() else "path"
        return f"no such option; {OF_YOUR_OWN[group]} is written {group}=local {group}.{key}={option}."
    return f"no such option; known are {', '.join(known)}.{nearest(option, known)}"


def _not_parsed(text: str, error: Exception) -> str:
    """Return why Hydra cannot parse an argument; a bracket that is open is the usual cause, and it never says so."""
    value = re.sub(r"\"[^\"]*\"|'[^']*'", "", text)
    for opening, closing in ("[]", "{}", "()"):
        if value.count(opening) != value.count(closing):
            missing = closing if value.count(opening) > value.count(closing) else opening
            return f"a {missing} is missing; a value with spaces or brackets in it needs quotes in a shell."
    return f"{str(error).splitlines()[0]}; a value with special characters needs quotes."


def _problem_of_key(text: str, node: ConfigDict) -> str | None:
    """Return what is wrong with `hydra.key=value` where Hydra's configuration has no such key."""
    inner, path = node, "hydra"
    for part in text.partition("=")[0].split(".")[1:]:
        if not isinstance(inner, dict):
            return None
        path = f"{path}.{part}"
        if part not in inner:
            return f"{path}: unknown key.{nearest(part, inner) or f' Write +{text} if it is meant to be new.'}"
        inner = inner[part]
    return None
