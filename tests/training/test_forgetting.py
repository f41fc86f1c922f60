"""The cap on forgetting: which states are within it, and that no other one is kept, also by a run that is resumed."""

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from mcqa.data import facts
from mcqa.data.general_texts import divided
from mcqa.models import loading
from mcqa.training import trainer
from mcqa.training.forgetting import Cap, StopAtCap
from tests.small_runs import configured, trained
from tests.training.test_trainer import StopAt, built

BASE = Cap(0.1, lambda: 10.0)


def metrics(perplexity):
    return {"eval_general/perplexity": perplexity}


@pytest.mark.parametrize(("perplexity", "allowed"), [(9, True), (11, True), (11.01, False), (math.nan, False)])
def test_a_state_is_within_the_cap_up_to_the_rise_that_is_allowed(perplexity, allowed):
    assert BASE.allows(metrics(perplexity)) is allowed


@pytest.mark.parametrize(("best", "end"), [(3, "The best state before it is kept."), (0, "the weights that it began")])
def test_training_ends_beyond_the_cap_and_says_what_is_kept(best, end, caplog):
    control = SimpleNamespace(should_training_stop=False)
    state = SimpleNamespace(global_step=5, max_steps=40, best_global_step=best)
    StopAtCap(BASE).on_evaluate(None, state, control, metrics(11))
    assert not control.should_training_stop and not caplog.records
    StopAtCap(BASE).on_evaluate(None, state, control, metrics(15))
    assert control.should_training_stop
    assert "after 5 of 40 updates" in caplog.text and "from 10 to 15, by 50 %, and" in caplog.text
    assert "allows 10 %" in caplog.text and end in caplog.text


@pytest.fixture(scope="module")
def invented(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "invented.txt"
    path.write_text("".join(f"Quoz {n} blorps the {n * 7 % 31} fims of Zed.\n" for n in range(40)))
    return path


def forgetful(small, invented, *more):
    """A training that soon forgets; every update is measured."""
    own = ["objective=pretrain", "peft=none", f"data.texts={invented}", "data.general_texts=facts"]
    return [*small, *own, "evaluation.limit=8", "objective.max_steps=6", "scheduler.warmup_ratio=0", *more]


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "peft"), [("pretrain", "none"), ("mixed", "lora")])
def test_beyond_the_cap_from_the_first_update_on_a_run_ends_with_the_weights_of_the_base(
    objective, peft, small, invented, caplog
):
    overrides = forgetful(small, invented, f"objective={objective}", f"peft={peft}", "optimizer.learning_rate=0.1")
    _, result = trained([*overrides, "evaluation.max_forgetting=0.01"])
    found = result["metrics"]
    assert found["general/perplexity"] == pytest.approx(found["base/general/perplexity"], rel=1e-5)
    assert found["test/acc"] == found["base/test/acc"]
    assert "The training ends after" in caplog.text and "with the weights that it began with" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("stop", [None, 1, 2, 4], ids=["undisturbed", "at first", "before", "beyond"])
def test_of_several_states_the_best_one_within_the_cap_is_kept_also_after_a_kill(stop, small, tmp_path):
    states = {}

    def measure():  # beyond from the fourth measurement on, which is the best one by dev
        step = capped.state.global_step
        states[step] = weights(capped)
        return {"dev/acc": [0.1, 0.3, 0.2, 0.9][step - 1], "general/perplexity": [10, 11, 10.5, 11.5][step - 1]}

    for at in filter(None, (stop, 99)):
        capped, *_ = built([*small, "objective.max_steps=6", "evaluation.every=1"], tmp_path, measure, cap=BASE)
        capped.add_callback(StopAt(at))
        with pytest.raises(KeyboardInterrupt) if at == stop else nullcontext():
            trainer.train(capped)
    assert sorted(states) == [1, 2, 3, 4] and capped.state.global_step == 4
    assert capped.state.best_global_step == 2 and capped.state.best_metric == 0.3
    assert all(torch.equal(states[2][name], value) for name, value in weights(capped).items())


def weights(trainer):
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters() if p.requires_grad}


@pytest.mark.slow
def test_held_out_text_is_never_trained_on_and_replay_is_the_share_that_was_asked(small, invented, monkeypatch):
    from mcqa.training.callbacks import ItemCollator

    read, call = [], ItemCollator.__call__

    def watched(self, rows):
        batch = call(self, rows)
        read.extend(tuple(row.tokens) for item in batch["items"] for row in item.rows)
        return batch

    monkeypatch.setattr(ItemCollator, "__call__", watched)
    more = ["objective.replay_share=0.5", "objective.epochs=3", "objective.max_steps=null", "evaluation.every=100"]
    trained(forgetful(small, invented, *more))
    tokenizer = loading.load_tokenizer(configured(["model=starter"])[0].model, [])
    general = divided(facts.statements(), [])
    held_out, replayed, own = (
        {tuple(ids) for ids in tokenizer(texts)["input_ids"]}
        for texts in ([one.text for one in general.held_out], general.for_replay, invented.read_text().splitlines())
    )
    assert len(read) == 3 * 80
    assert not held_out & set(read)
    assert sum(ids in replayed for ids in read) == sum(ids in own for ids in read) == 3 * 40
    assert len(replayed & set(read)) == 3 * 40  # other ones in each epoch
