"""Each rule finds its illness in a made-up run, and is silent about the healthy one beside it."""

import math

import pytest

from mcqa.evaluation.doctor.history import Accuracy, History
from mcqa.evaluation.doctor.rules import diagnose, diagnose_running
from mcqa.evaluation.doctor.updates import Update
from tests.evaluation.doctor.histories import HEALTHY, answers, curve, dev, healthy


def names(history, *severities):
    return {one.name for one in diagnose(history) if not severities or one.severity in severities}


def spoilt(at, **values):
    """The healthy updates, one of them with other values."""
    updates = curve()
    updates[at] = Update(**{**vars(updates[at]), **values})
    return updates


def test_a_healthy_run_has_no_finding():
    assert diagnose(HEALTHY) == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_no_finding(seed):
    for noise in (0.01, 0.1, 0.3):
        assert names(healthy(updates=curve(noise=noise, seed=seed)), "problem", "hint") == set()


def test_an_empty_run_has_no_finding():
    assert diagnose(History(HEALTHY.setup)) == []


@pytest.mark.parametrize("updates", [1, 2, 5, 19])
def test_rules_about_a_curve_are_silent_below_20_points(updates):
    wild = curve(lambda at: 1.0 + at, updates)
    assert names(healthy(updates=wild), "problem") == set()


FALLING = {"loss": lambda at: 0.3 + 2 * math.exp(-at / 30)}

ILL = {
    "divergence": healthy(updates=curve(lambda at: 2 - at / 80 if at < 80 else 1 + (at - 80) / 40)),
    "nothing learned": healthy(updates=curve(lambda at: 2.0), dev=[]),
    "accuracy of guessing": healthy(dev=dev((0.25, 1.5), (0.26, 1.6))),
    "loss of guessing": healthy(dev=dev((0.25, 1.39), (0.26, 1.386))),
    "all answers the same": healthy(answers=answers((2,))),
    "worse than the base": healthy(gain=Accuracy(-0.2, -0.3, -0.1)),
    "forgetting": healthy(elsewhere={"facts": Accuracy(-0.1, -0.2, -0.01), "other": Accuracy(0.1, 0.0, 0.2)}),
    "zero gradients": healthy(updates=curve(norm=lambda at: 0.0 if at % 3 == 0 else 0.5)),
    "not a number": healthy(updates=[*curve(updates=100), Update(101, math.nan, math.nan, 1e-3)]),
    "noisy updates": healthy({"batch_size": 4}, updates=curve(lambda at: 1.2 - at / 2000, noise=0.4)),
    "overfitting": healthy(
        dev=dev((0.6, 0.9), (0.65, 0.8), (0.64, 0.95), (0.64, 1.1)), updates=curve(lambda at: 2 / (1 + at / 20))
    ),
    "plateau": healthy(
        updates=curve(lambda at: 1.0 + math.exp(-at / 10), noise=0.005), dev=dev((0.4, 1.0), (0.41, 1.0))
    ),
    "learning rate never decayed": healthy(updates=curve(rate=lambda done: 2e-3)),
    "gradients clipped": healthy({"max_grad_norm": 0.01}),
    "few updates": healthy(updates=curve(lambda at: 0.3 + 2 * math.exp(-at / 10), updates=60)),
    "spikes": healthy(updates=spoilt(120, loss=3.0)),
}


@pytest.mark.parametrize("name", ILL)
def test_an_illness_is_found_with_numbers_and_something_to_try(name):
    (finding,) = [one for one in diagnose(ILL[name]) if one.name == name]
    assert finding.severity in ("problem", "hint")
    assert any(character.isdigit() for character in finding.evidence)
    assert finding.override
    assert finding.line().startswith(f"{name}: ")


NEIGHBOURS = {
    "a warm-up that raises the loss a little": healthy(updates=curve(lambda at: 2.3 - abs(at - 20) / 100)),
    "a fall by a twentieth": healthy(updates=curve(lambda at: 2.0 - at / 1000)),
    "guessing, measured by 40 questions": healthy(
        dev=dev((0.25, 1.4), half=0.15), answers=answers(questions=40), questions=answers(questions=40)
    ),
    "dev worse by less than its interval": healthy(dev=dev((0.36, 1.2), (0.37, 1.2)), gain=None),
    "a further set that is worse by less than its interval": healthy(elsewhere={"facts": Accuracy(-0.1, -0.2, 0.01)}),
    "two letters": healthy(answers=answers((0, 1))),
    "a loss of dev that varies": healthy(dev=dev((0.6, 0.82), (0.6, 0.8), (0.6, 0.83), (0.6, 0.81), (0.6, 0.83))),
    "a large batch with noise": healthy(updates=curve(lambda at: 1.2 - at / 2000, noise=0.4)),
    "a gradient that is long once": healthy(updates=spoilt(100, grad_norm=40.0)),
    "a loss near zero that varies": healthy(
        updates=curve(lambda at: 2 * math.exp(-at / 20) + 0.005, noise=1.0), dev=[]
    ),
    "a tail without learning rate": healthy(
        updates=curve(
            lambda at: 1.0 + math.exp(-at / 10),
            rate=lambda done: 2e-3 if done < 0.5 else 1e-5,
        )
    ),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_the_healthy_neighbour_of_an_illness_is_none(name):
    assert names(NEIGHBOURS[name], "problem", "hint") <= {"few updates"}


def test_a_learning_rate_is_a_problem_only_beside_a_symptom():
    diverged = ILL["divergence"].updates
    assert "learning rate too high" in names(healthy({"learning_rate": 0.2}, updates=diverged), "problem")
    assert "learning rate too high" not in names(healthy(updates=diverged))
    (note,) = diagnose(healthy({"learning_rate": 0.2}))
    assert (note.name, note.severity) == ("unusual learning rate", "normal")
    assert "100 times the 0.002" in note.evidence
    assert names(healthy({"learning_rate": 0.004})) == set()


def test_a_learning_rate_that_is_too_low_leaves_the_loss_where_it_was_or_still_falling():
    low = {"learning_rate": 2e-5}
    flat, falling = curve(lambda at: 2.0), curve(lambda at: 2.0 - at / 400)
    for updates in (flat, falling):
        (found,) = [one for one in diagnose(healthy(low, updates=updates, dev=[])) if "too low" in one.name]
        assert found.override == "optimizer.learning_rate=0.002"


def test_the_recommended_learning_rate_is_not_for_every_optimizer():
    assert names(healthy({"learning_rate": 0.2, "optimizer": "sgd"})) == set()


def test_clipping_at_less_than_a_tenth_of_the_usual_norm_is_a_hint_and_else_normal():
    assert "gradients clipped" in names(healthy({"max_grad_norm": 0.04}), "hint")
    assert "gradients clipped" in names(healthy({"max_grad_norm": 0.3}), "normal")
    assert "gradients clipped" in names(healthy({"max_grad_norm": 0.3, "optimizer": "sgd"}), "hint")
    assert names(healthy({"max_grad_norm": None})) == set()


def test_an_infinite_gradient_is_normal_with_fp16_alone():
    updates = spoilt(100, grad_norm=math.inf)
    assert names(healthy({"precision": "fp16"}, updates=updates), "normal") == {"updates skipped by fp16"}
    assert "not a number" in names(healthy({"precision": "bf16"}, updates=updates), "problem")


def test_a_run_that_logs_no_norms_is_not_one_without_numbers():
    assert names(healthy(updates=curve(norm=lambda at: math.nan))) == set()


def test_spikes_need_every_single_update():
    means = healthy(updates=spoilt(120, loss=3.0), every=10)
    assert "spikes" not in names(means)
    assert "spikes" in names(ILL["spikes"], "hint")


def test_many_spikes_are_a_problem():
    updates = curve()
    for at in (60, 100, 140, 180):
        updates[at] = Update(at + 1, 3.0, 5.0, 1e-3)
    assert "spikes" in names(healthy(updates=updates), "problem")


def test_what_looks_wrong_and_is_normal_is_said_so():
    steps = curve(lambda at: 2.0 - 0.5 * (at // 50))
    assert names(healthy(updates=steps, dev=[])) == {"steps between epochs"}
    first = spoilt(0, learning_rate=0.0, grad_norm=0.0)
    found = diagnose(healthy(updates=first))
    assert {one.severity for one in found} == {"normal"}
    assert {one.name for one in found} == {"learning rate zero at the beginning", "zero gradient at the beginning"}
    (adapter,) = diagnose(healthy(group_zero=["adapter_a"]))
    assert "matrices B" in adapter.meaning


def test_a_plateau_is_normal_where_dev_got_better():
    updates = curve(lambda at: 1.0 + math.exp(-at / 10), noise=0.005)
    assert "plateau" in names(healthy(updates=updates), "normal")
    assert "plateau" in names(ILL["plateau"], "hint")


def test_overfitting_is_a_problem_where_accuracy_falls_beyond_its_interval():
    falls = dev((0.6, 0.9), (0.65, 0.8), (0.5, 0.95), (0.45, 1.1))
    assert "overfitting" in names(healthy(dev=falls, updates=ILL["overfitting"].updates), "problem")
    assert "overfitting" in names(ILL["overfitting"], "hint")


def test_dev_may_rise_where_training_does_not_fall():
    worse = ILL["overfitting"].dev
    flat = curve(lambda at: 2.0 if at < 10 else 1.0)
    assert "overfitting" not in names(healthy(dev=worse, updates=flat))


def test_a_training_that_was_stopped_early_has_not_decayed_for_that_reason():
    early = healthy({"planned": 1000}, updates=curve(rate=lambda done: 2e-3))
    assert "learning rate never decayed" in names(early, "normal")


def test_a_run_that_goes_on_is_not_said_to_be_short():
    assert names(healthy(updates=curve(updates=60), ended=False)) == set()


def test_while_training_goes_on_only_what_is_worth_a_warning_is_said():
    assert diagnose_running(HEALTHY) == []
    assert [one.name for one in diagnose_running(ILL["divergence"])] == ["divergence"]
    assert [one.name for one in diagnose_running(ILL["spikes"])] == ["spikes"]
    assert diagnose_running(ILL["gradients clipped"]) == []


def test_the_worst_comes_first():
    found = diagnose(healthy({"max_grad_norm": 0.01, "learning_rate": 0.2}, updates=ILL["divergence"].updates))
    ranks = [("problem", "hint", "normal").index(one.severity) for one in found]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1
