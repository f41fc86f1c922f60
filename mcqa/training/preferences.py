"""TRL's DPOTrainer on our updates: what it makes of a pair is its own code, and a pair counts once in an update.

Each pair is two rows, the better answer first. Compared is with the model that training begins from: with an adapter
the base without it, with all weights trained a frozen copy.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from mcqa.data.tokens import EncodedChoice, Example
from mcqa.evaluation.scoring.tree import Row
from mcqa.runs import processes
from mcqa.training.losses import Item, linear
from mcqa.training.measuring import MeasuringTrainer

REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies")
"""TRL's names of what each pair has: beta times how much likelier an answer is than before training, for the better and
the worse one, the difference, and whether it is above 0."""


def pair_item(example: Example) -> Item:
    """Return a pair as rows for the model; the targets of the better answer have number 0, of the worse one 1."""
    return Item([_row(choice, number) for number, choice in enumerate(example.choices)], 0, example.lengths)


def _row(choice: EncodedChoice, number: int) -> Row:
    ids, first = [*choice.context, *choice.continuation], len(choice.context)
    return linear(ids[:-1], [(place - 1, ids[place], number) for place in range(first, len(ids))])


def _features(item: Item) -> dict[str, list[int]]:
    """Return what TRL's collator takes, without a shared prompt: answers of a pair may follow different texts."""
    chosen, rejected = ([*row.tokens, row.targets[-1][1]] for row in item.rows)
    return {"prompt_ids": [], "chosen_ids": chosen, "rejected_ids": rejected}


class PreferenceTrainer(MeasuringTrainer, DPOTrainer):  # type: ignore[misc]
    """DPOTrainer whose update is the mean over all its pairs, however it is split into forward passes."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if "ref" in getattr(self.model, "peft_config", {}):  # TRL's copy of an adapter that has not learned anything
            self.model.delete_adapter("ref")
        token = self.processing_class.pad_token_id
        nothing = EncodedChoice([token], [token])
        self.data_collator.padding = Item([_row(nothing, 0), _row(nothing, 1)], 0, (1.0, 1.0), weight=0.0)
        self.collate = DataCollatorForPreference(token)
        self.rewards: list[tuple[float, ...]] = []
        self.rewards_before = 0

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # numbers of rows; examples come tokenized

    def items(self, examples: Sequence[Example]) -> list[Item]:
        return [pair_item(example) for example in examples]

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.rewards_before = len(self.rewards)
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        return loss

    def _halve(self, batch: list[Item], error: torch.OutOfMemoryError) -> None:
        super()._halve(batch, error)
        del self.rewards[self.rewards_before :]  # the update begins again

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return a batch's share of the mean over the pairs of its update; times the processes, whose gradients are
        averaged."""
        items, pairs = inputs["items"], inputs["counts"][1]
        batch = self.collate([_features(item) for item in items])
        starts = torch.tensor([row.targets[0][0] + 1 for side in (0, 1) for row in (item.rows[side] for item in items)])
        batch["completion_mask"] *= torch.arange(batch["completion_mask"].shape[1]) >= starts[:, None]
        batch = {name: tensor.to(self.args.device) for name, tensor in batch.items()}
        with _ungathered(self.accelerator):
            loss: torch.Tensor = self._compute_loss(model, batch, return_outputs=False)
        real = sum(item.weight > 0 for item in items)
        logged = self._metrics["train" if self.model.training else "eval"]
        if real:  # else the batch is padding, which only keeps a process in step
            self.rewards.append((float(real), *(real * logged[name][-1] for name in REWARDS)))
        logged.clear()
        return loss * (real / max(1.0, pairs) * self.accelerator.num_processes)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log the mean rewards of the pairs since the last time beside their loss."""
        if "loss" in logs:
            sums = [sum(values) for values in zip(*self.rewards, strict=True)] or [0.0] * (1 + len(REWARDS))
            pairs, *rewards = processes.all_reduce_sum(sums)
            self.rewards.clear()
            self.rewards_before = 0
            if pairs:
                logs = logs | {name: total / pairs for name, total in zip(REWARDS, rewards, strict=True)}
        super().log(logs, *args, **kwargs)


@contextmanager
def _ungathered(accelerator: Any) -> Iterator[None]:
    """TRL gathers its metrics from all processes after each forward pass; ours have batches of different sizes."""
    accelerator.gather = accelerator.gather_for_metrics = lambda tensor: tensor
    try:
        yield
    finally:
        del accelerator.gather, accelerator.gather_for_metrics
