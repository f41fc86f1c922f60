"""The keys of hydra.sweeper, with their types."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mcqa.config.errors import ConfigError
from mcqa.config.secrets import url_problem
from mcqa.config.validation import members

Direction = Literal["maximize", "minimize"]

PositiveInt = Annotated[int, "at least 1"]
NonNegativeInt = Annotated[int, "at least 0"]

MAX_NAME_BYTES = 255  # of a folder, with every usual file system


@dataclass(frozen=True)
class Options:
    """hydra.sweeper; conf/hydra/sweeper/mcqa.yaml says what each key does."""

    sampler: dict[str, Any]
    pruner: dict[str, Any]
    params: dict[str, Any]
    function: str | None
    n_trials: PositiveInt | None
    n_jobs: PositiveInt
    study_name: str | None
    direction: Direction | None
    metric: str | None
    storage: str | None
    seed: int | None
    timeout_s: Annotated[float, "above 0"] | None
    max_failures: NonNegativeInt | None
    max_resubmits: NonNegativeInt
    allow_changes: bool
    poll_s: Annotated[float, "above 0"]
    confirm: NonNegativeInt
    arms: list[str]

    @property
    def is_study(self) -> bool:
        return self.n_trials is not None or self.sampler.get("name") == "grid"


def options_of(config_dict: dict[str, Any]) -> Options:
    """Read hydra.sweeper.

    Raises:
        ConfigError: with everything wrong with it.
    """
    problems: list[str] = []
    keys = {key: value for key, value in config_dict.items() if key != "_target_"}
    if isinstance(direction := keys.get("direction"), list):
        problems.append(f"hydra.sweeper.direction={direction}: a study has one objective; give minimize or maximize.")
        keys["direction"] = None
    url = keys.get("storage")
    if isinstance(url, str) and (problem := url_problem("hydra.sweeper.storage", url)):
        problems.append(problem)
    if problem := name_problem(keys.get("study_name")):
        problems.append(f"hydra.sweeper.study_name={keys['study_name']!r}: {problem}")
    values = members(Options, keys, "hydra.sweeper.", problems)
    if not problems and values["arms"] and not Options(**values).is_study:
        problems.append("hydra.sweeper.arms: only a study has arms; give it hydra/sweeper/sampler=grid.")
    if values.get("confirm") == 1:
        problems.append(
            "hydra.sweeper.confirm=1: one new seed does not show how much seeds change the result, so nothing could be "
            "said of a configuration. Give 3, or at least 2."
        )
    if problems:
        raise ConfigError("The sweeper has problems:\n  " + "\n  ".join(problems))
    return Options(**values)


def name_problem(name: Any) -> str | None:
    """Return why a study's folder cannot have this name, if so. Other types than text are somebody else's problem."""
    if not isinstance(name, str):
        return None
    if not name.strip(" .") or "/" in name or name[0] in "-~ " or name[-1] == " " or not name.isprintable():
        return (
            "it names one folder below sweeps/ (outputs= or hydra.sweep.dir= say where that is), so it wants visible "
            "characters, no /, and no -, ~ or blank in front."
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"it has {len(name.encode())} bytes, and a folder's name at most {MAX_NAME_BYTES}."
    return None
