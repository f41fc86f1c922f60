"""Schedules: the learning rate of each update as a share of the highest one, and a picture of all of them.

python -m mcqa.training.schedules docs/schedules.png
"""

import math
import sys
from pathlib import Path
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mcqa.config.schema import SchedulerConfig


def factor(config: SchedulerConfig, update: int, total: int, warmup: int) -> float:
    """Return the share of the learning rate that an update takes, without what measurements reduce it by.

    update: from 0. total: updates of the training, of which the first `warmup` are warm-up.
    """
    lowest = config.min_lr_ratio or 0.0
    if update < warmup:
        rise = update / warmup
        if config.name == "one_cycle":
            assert config.initial_lr_ratio is not None, "rules.py"
            return 1 + (config.initial_lr_ratio - 1) * _half_cosine(rise)
        return rise
    done = min(1.0, (update - warmup) / max(1, total - warmup))
    match config.name:
        case "constant" | "reduce_on_plateau":
            return 1.0
        case "linear":
            return 1 - done
        case "cosine" | "cosine_with_min_lr" | "one_cycle":
            return lowest + (1 - lowest) * _half_cosine(done)
        case "cosine_restarts":
            assert config.cycles is not None, "rules.py"
            return _half_cosine(config.cycles * done % 1) if done < 1 else 0.0
        case "step":
            assert config.gamma is not None and config.step_ratio is not None, "rules.py"
            steps = math.floor((update - warmup) / (config.step_ratio * max(1, total - warmup)) + 1e-9)
            return float(config.gamma**steps)
        case "exponential":
            return float(lowest**done)
        case "warmup_stable_decay":
            assert config.decay_ratio is not None, "rules.py"
            last = max(1, min(round(config.decay_ratio * total), total - warmup))
            return lowest + (1 - lowest) * max(0.0, min(1.0, (total - update) / last))


def _half_cosine(share: float) -> float:
    """Return 1 at 0, falling along half a cosine to 0 at 1."""
    return (1 + math.cos(math.pi * share)) / 2


class Plateau:
    """What measurements have reduced the learning rate by: as torch's ReduceLROnPlateau, with a threshold of zero."""

    def __init__(self, config: SchedulerConfig) -> None:
        assert config.gamma is not None and config.patience is not None, "rules.py"
        self.gamma, self.patience, self.lowest = config.gamma, config.patience, config.min_lr_ratio or 0.0
        self.reduction, self.best, self.without = 1.0, -math.inf, 0

    def measured(self, value: float) -> None:
        """Take a metric of which more is better."""
        self.best, self.without = (value, 0) if value > self.best else (self.best, self.without + 1)
        if self.without > self.patience:
            self.reduction, self.without = max(self.reduction * self.gamma, self.lowest), 0


class Schedule(LambdaLR):  # type: ignore[misc]
    """Scales the learning rate of each group of an optimizer by the factor of a schedule."""

    def __init__(self, optimizer: Optimizer, config: SchedulerConfig, total: int, warmup: int) -> None:
        self.plateau = Plateau(config) if config.name == "reduce_on_plateau" else None

        def share(update: int) -> float:
            reduced = 1.0 if self.plateau is None else self.plateau.reduction
            return reduced * factor(config, update, total, warmup)

        super().__init__(optimizer, share)

    def measured(self, value: float) -> None:
        """Take the metric that steers, as more is better; the next update takes the learning rate that follows."""
        if self.plateau is None:
            return
        self.plateau.measured(value)
        self._last_lr = [rate * self.lr_lambdas[0](self.last_epoch) for rate in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        state: dict[str, Any] = super().state_dict()
        return state | {"plateau": None if self.plateau is None else dict(vars(self.plateau))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what a checkpoint kept."""
        state = dict(state_dict)
        kept = state.pop("plateau", None)
        super().load_state_dict(state)
        if self.plateau is not None and kept is not None:
            vars(self.plateau).update(kept)


def picture(path: Path) -> None:
    """Draw every option of the group `scheduler`, with its own values and 1000 updates; save it as PNG."""
    from mcqa.config.composition import ROOT, compose
    from mcqa.config.schema import Config
    from mcqa.config.trainer_args import warmup_steps
    from mcqa.config.validation import typed
    from mcqa.evaluation.report.charts import style

    names = sorted(option.stem for option in (ROOT / "conf" / "scheduler").glob("*.yaml"))
    total, columns = 1000, 5

    @style.styled
    def draw() -> Any:
        rows = -(-len(names) // columns)
        figure, axes = style.new_figure(2.0 * rows, rows, columns, width=11, sharex=True, sharey=True)
        for one, name in zip(axes.flat, names, strict=True):
            config = typed(compose("config", [f"scheduler={name}"]), Config).scheduler
            rates = [factor(config, update, total, warmup_steps(config, total)) for update in range(total)]
            if (
                config.name == "reduce_on_plateau"
            ):  # as if nothing got better in the second half: a measurement each 100
                plateau = Plateau(config)
                for update in range(total):
                    if update and not update % 100:
                        plateau.measured(min(update, total // 2))
                    rates[update] *= plateau.reduction
            one.plot([100 * update / total for update in range(total)], rates, color=style.BLUE)
            one.set_title(name, fontsize=9)
        figure.supxlabel("updates, %")
        figure.supylabel("share of the learning rate")
        return figure

    style.save(draw(), path)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
