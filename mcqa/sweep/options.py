"""The keys of hydra.sweeper, with their types."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mcqa.config.errors import ConfigError
from mcqa.config.secrets import url_problem
from mcqa.config.validation import members

Direction = Literal["maximize", "minimize"]

PositiveInt = Annotated[int, "at least 1"]
NonNegativeInt = Annotated[int, "at least 0"]


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
    values = members(Options, keys, "hydra.sweeper.", problems)
    if problems:
        raise ConfigError("The sweeper has problems:\n  " + "\n  ".join(problems))
    return Options(**values)
