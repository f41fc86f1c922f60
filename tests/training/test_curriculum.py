"""A curriculum: which questions the base finds easy, and the order of the epochs."""

import math

import pytest
import torch

from mcqa.config.errors import ConfigError
from mcqa.data.question import Question
from mcqa.evaluation.predictions import Prediction, read
from mcqa.training import trainer
from mcqa.training.curriculum import easy_first, margin
from mcqa.training.resume import PaddedSampler
from tests.small_runs import configured, trained
from tests.training.test_trainer import StopAt, built


def prediction(*scores, answer=0):
    return Prediction(Question("q", "Which?", ("a", "b", "c"), answer), scores, (1, 1, 1))


def test_the_margin_is_the_lead_of_the_right_choice_over_the_best_wrong_one():
    assert margin(prediction(-1.0, -3.0, -2.0)) == 1
    assert margin(prediction(-1.0, -3.0, -2.0, answer=1)) == -2
    assert margin(prediction(-1.0, math.nan, -2.0)) == -math.inf


def test_the_largest_margin_comes_first_and_equal_ones_stay_in_order():
    rows = [prediction(-2, -1, -3), prediction(-1, -9, -9), prediction(math.nan, 0, 0), prediction(-3, -2, -4)]
    assert easy_first(rows) == [1, 0, 3, 2]


def test_the_first_epoch_is_in_order_and_the_others_are_shuffled_as_they_are_without_a_curriculum():
    plain, ordered = PaddedSampler(3, 10, 4), PaddedSampler(3, 10, 4, lambda: range(9, -1, -1))
    for sampler in (plain, ordered):
        sampler.set_epoch(0)
    assert list(ordered) == [*range(9, -1, -1), 10, 10] and sorted(list(plain)[:10]) == [*range(10)]
    for epoch in (1, 2):
        for sampler in (plain, ordered):
            sampler.set_epoch(epoch)
        assert list(plain) == list(ordered)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["+experiment=pretrain_starter"], "sentences have no choices to be easy or hard to choose among"),
        (["+objective.trainer_args.train_sampling_strategy=group_by_length"], "orders the questions too"),
    ],
)
def test_a_curriculum_that_has_no_meaning_is_refused(overrides, problem):
    with pytest.raises(ConfigError, match=rf"objective\.curriculum: .*{problem}"):
        configured([*overrides, "objective.curriculum=easy_first"])


@pytest.mark.slow
def test_a_run_reads_the_easiest_questions_first_and_leaves_their_margins_in_its_folder(small, monkeypatch):
    seen = []
    iterate = PaddedSampler.__iter__
    monkeypatch.setattr(PaddedSampler, "__iter__", lambda self: iter(seen.append([*iterate(self)]) or seen[-1]))
    folder, result = trained(
        [*small, "objective.curriculum=easy_first", "objective.epochs=2", "objective.max_steps=null"]
    )
    rows = read(folder / "predictions" / "base_train.jsonl")
    first, second, *_ = [order for order in seen if order]
    assert first == easy_first(rows) and sorted(second) == sorted(first) != second != first
    assert result["metrics"]["base/train/n"] == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [4, 7], ids=["in the first epoch", "in the second epoch"])
def test_a_resumed_training_has_the_order_of_an_undisturbed_one(stop, small, tmp_path):
    overrides = [*small, "objective.max_steps=8", "objective.epochs=null", "evaluation.every=3", "peft=lora"]
    ends = []
    for stops in ([], [stop]):
        accuracies = iter([0.1, 0.2, 0.3, 0.4])  # the last state is the best
        for at in (*stops, None):
            folder = tmp_path / str(len(stops))
            sft_trainer, *_ = built(overrides, folder, lambda each=accuracies: {"dev/acc": next(each)})
            sft_trainer.first_epoch = lambda: range(39, -1, -1)
            if at is None:
                trainer.train(sft_trainer)
            else:
                sft_trainer.add_callback(StopAt(at))
                with pytest.raises(KeyboardInterrupt):
                    trainer.train(sft_trainer)
        ends.append({name: p for name, p in sft_trainer.model.named_parameters() if p.requires_grad})
    assert all(torch.equal(ends[1][name], value) for name, value in ends[0].items())
