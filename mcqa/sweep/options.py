"""The keys of hydra.sweeper, with their types."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mcqa.config.errors import ConfigError
from mcqa.config.validation import members

Direction = Literal["maximize", "minimize"]


Count = Annotated[int, "at least 1"]


NotNegativeCount = Annotated[int, "at least 0"]


@dataclass(frozen=True)
class Options:
    """hydra.sweeper; conf/hydra/sweeper/mcqa.yaml says what each key does."""

    sampler: dict[str, Any]
    pruner: dict[str, Any]
    params: dict[str, Any]
    function: str | None
    n_trials: Count | None
    n_jobs: Count
    study_name: str | None
    direction: Direction | list[Direction] | None
    metric: str | None
    storage: str | None
    seed: int | None
    timeout_s: Annotated[float, "above 0"] | None
    max_failures: NotNegativeCount | None
    max_resubmits: NotNegativeCount
    allow_changes: bool
    poll_s: Annotated[float, "above 0"]
    confirm: NotNegativeCount

    @property
    def is_study(self) -> bool:
        return self.n_trials is not None or self.sampler.get("name") == "grid"


def options_of(tree: dict[str, Any]) -> Options:
    """
    Raises:
        ConfigError: with everything wrong with hydra.sweeper.
    """
    problems: list[str] = []
    values = members(Options, {k: v for k, v in tree.items() if k != "_target_"}, "hydra.sweeper.", problems)
    if problems:
        raise ConfigError("The sweeper has problems:\n  " + "\n  ".join(problems))
    return Options(**values)
