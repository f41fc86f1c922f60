"""Studies on real Optuna storages: what is suggested, kept, found again and pruned."""

import shutil
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from mcqa.config.errors import ConfigError, FileError
from mcqa.sweep.controller.events import Outcome, RecoveredTrial
from mcqa.sweep.optuna_study.study import OptunaStudy
from mcqa.sweep.space.space import parse

BASE = {"rate": 0.01, "steps": 4, "name": "a", "deep": {"share": 0.5, "other": 1}}
PARAMS = {
    "rate": "tag(log,interval(1e-4,1))",
    "steps": "int(interval(1,8))",
    "name": "a,b,c",
    "deep.share": "range(0,1,0.25)",
}
HERE = __name__
FUNCTION = SimpleNamespace(breaks=False)


def conditional(trial, config):
    if FUNCTION.breaks:
        raise RuntimeError("not today")
    return {"deep.other": trial.suggest_int("+deep.new", 1, 9)} if trial.params["name"] != "a" else {}


def open_study(folder, params=PARAMS, base=BASE, overrides=(), function=None, **changes):
    how = {
        "name": "s",
        "direction": "maximize",
        "sampler": {"name": "random"},
        "pruner": {"name": "none"},
        "seed": 7,
        "storage": None,
    }
    return OptunaStudy(folder, space=parse(params, overrides, base, {}, function), **how | changes)


def stored(folder, storage=None):
    """The study as Optuna's own backend reads it."""
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "journal.log")))
    return optuna.load_study(study_name="s", storage=storage or journal)


def complete(value):
    return Outcome("complete", value, None)


def score(params):
    """Best at a rate of .03, many steps and b."""
    return -abs(params["rate"] - 0.03) + params["steps"] / 8 + (params["name"] == "b")


def run(study, n):
    """Ask and tell in one slot."""
    seen = []
    for _ in range(n):
        asked = study.ask()
        seen.append(asked.params)
        study.tell(asked.number, complete(score(asked.params)))
    return seen


@pytest.mark.parametrize(
    ("sampler", "trials", "ends"),
    [
        ({"name": "random"}, 8, (1, 4)),
        ({"name": "tpe", "n_startup_trials": 4}, 14, (2, 7, 9)),
        ({"name": "tpe", "n_startup_trials": 3, "group": True}, 8, (5,)),
        ({"name": "gp", "n_startup_trials": 2}, 5, (1, 4)),
    ],
)
def test_one_slot_gets_the_same_suggestions_whether_or_not_the_controller_was_started_again(
    tmp_path, sampler, trials, ends
):
    (tmp_path / "straight").mkdir()
    (tmp_path / "broken").mkdir()
    straight = run(open_study(tmp_path / "straight", sampler=sampler), trials)
    seen = []
    for end in (*ends, trials):
        seen += run(open_study(tmp_path / "broken", sampler=sampler), end - len(seen))
    assert seen == straight
    assert len({str(params) for params in straight}) == trials


def test_the_same_suggestions_and_decisions_come_after_a_restart_with_hyperband_which_sorts_trials_into_brackets(
    tmp_path,
):
    how = {"sampler": {"name": "tpe", "n_startup_trials": 2}, "pruner": {"name": "hyperband", "min_resource": 100}}

    def trials(study, n):
        seen = []
        for _ in range(n):
            asked = study.ask()
            judged = [study.judge(asked.number, point, score(asked.params)) == "prune" for point in (100, 300, 900)]
            seen.append((asked.params, judged))
            study.tell(asked.number, complete(score(asked.params)))
        return seen

    (tmp_path / "straight").mkdir()
    (tmp_path / "broken").mkdir()
    straight = trials(open_study(tmp_path / "straight", **how), 16)
    seen = [trial for _ in range(8) for trial in trials(open_study(tmp_path / "broken", **how), 2)]
    assert seen == straight
    assert any(any(judged) for _, judged in seen)


def test_another_seed_suggests_something_else_and_no_seed_something_else_each_time(tmp_path):
    seen = []
    for place, seed in enumerate((1, 2, None, None)):
        folder = tmp_path / str(place)
        folder.mkdir()
        seen.append(str(run(open_study(folder, seed=seed), 3)[1:]))
    assert len(set(seen)) == 4


@pytest.mark.parametrize("sampler", [{"name": "random"}, {"name": "tpe", "n_startup_trials": 2}])
def test_a_trial_whose_asking_was_cut_off_anywhere_is_asked_to_its_end_with_the_same_values(tmp_path, sampler):
    how = {"sampler": sampler, "function": f"{HERE}.conditional"}
    straight = tmp_path / "straight"
    straight.mkdir()
    study = open_study(straight, **how)
    run(study, 4)
    before = (straight / "journal.log").stat().st_size
    asked = study.ask()
    overrides = study.overrides(asked.number)
    content = (straight / "journal.log").read_bytes()
    ends = [end for end in range(before + 1, len(content) + 1) if content[end - 1] == ord("\n")]
    assert len(ends) > 5
    for end in ends:
        cut = tmp_path / str(end)
        cut.mkdir()
        (cut / "journal.log").write_bytes(content[:end])
        again = open_study(cut, **how)
        assert again.known()[-1] == RecoveredTrial(asked.number, None, 0, None)
        assert again.overrides(asked.number) == overrides


@pytest.mark.parametrize(("params", "sampler", "total"), [({"name": "c,a,b"}, "grid", 3), (PARAMS, "random", 2)])
def test_a_grid_and_the_default_have_no_point_twice_where_asking_was_cut_off(tmp_path, params, sampler, total):
    how = {"params": params, "sampler": {"name": sampler}}
    study = open_study(tmp_path, **how)
    before = (tmp_path / "journal.log").stat().st_size
    study.ask(), study.ask()
    content = (tmp_path / "journal.log").read_bytes()
    ends = [end for end in range(before, len(content) + 1) if content[end - 1] == ord("\n")]
    for end in ends:
        cut = tmp_path / str(end)
        cut.mkdir()
        (cut / "journal.log").write_bytes(content[:end])
        again = open_study(cut, **how)
        while len(again.known()) < total:
            again.ask()
        trials = stored(cut).trials
        assert len({str(trial.params) for trial in trials}) == len(trials) == total
        assert trials[0].params["name"] == ("c" if sampler == "grid" else "a")
        assert [trial.user_attrs["default"] for trial in trials if "default" in trial.user_attrs].count(True) == 1
        if sampler == "grid":
            assert again.ask() is None


@pytest.mark.parametrize("left", [0, 1, 30, -1])
def test_a_line_of_the_journal_that_was_not_finished_is_dropped_and_nothing_else(tmp_path, left):
    study = open_study(tmp_path)
    run(study, 3)
    study.ask()
    journal = tmp_path / "journal.log"
    content = journal.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    journal.write_bytes(content[: last + left] if left >= 0 else content[:-1])
    study = open_study(tmp_path)
    run(study, 2)
    study.tell(3, complete(1.0))
    assert [trial.state for trial in stored(tmp_path).trials] == [TrialState.COMPLETE] * 6
    assert [known.outcome is not None for known in open_study(tmp_path).known()] == [True] * 6


def test_a_lock_that_a_killed_controller_left_on_its_journal_does_not_hold_up_the_next(tmp_path):
    run(open_study(tmp_path), 1)
    (tmp_path / "journal.log.lock").symlink_to(tmp_path / "journal.log")
    study = open_study(tmp_path)
    assert not (tmp_path / "journal.log.lock").is_symlink()
    run(study, 1)
    assert len(stored(tmp_path).trials) == 2


@pytest.mark.parametrize("storage", [None, "sqlite:///{folder}/study.db"])
def test_unfinished_trials_of_an_earlier_controller_are_known_and_can_be_reported(tmp_path, storage):
    url = storage and storage.format(folder=tmp_path)
    study = open_study(tmp_path, overrides=["+extra=1"], storage=url)
    numbers = [study.ask().number for _ in range(4)]
    overrides = [study.overrides(number) for number in numbers]
    study.tell(1, complete(0.5))
    study.tell(3, Outcome("failed", None, "ValueError: no"))
    study.judge(2, 800, 0.25)

    again = open_study(tmp_path, overrides=["+extra=1"], storage=url)
    assert again.known() == [
        RecoveredTrial(0, None, 0, None),
        RecoveredTrial(1, Outcome("complete", 0.5, None), 0, None),
        RecoveredTrial(2, None, 0, None),
        RecoveredTrial(3, Outcome("failed", None, "ValueError: no"), 0, None),
    ]
    assert [again.overrides(number) for number in numbers] == overrides
    assert overrides[0][0] == "+extra=1"
    again.tell(0, complete(0.75))
    again.tell(2, Outcome("pruned", None, None))
    assert [known.outcome.status for known in again.known()] == ["complete", "complete", "pruned", "failed"]
    assert again.known()[2].outcome.value == 0.25
    assert again.ask().number == 4


def test_trial_0_is_the_default_once_and_what_the_sampler_says_comes_after_it(tmp_path):
    study = open_study(tmp_path)
    assert study.ask().params == {"rate": 0.01, "steps": 4, "name": "a", "deep.share": 0.5}
    assert study.overrides(0) == ["rate=0.01", "steps=4", "name=a", "deep.share=0.5"]
    later = [open_study(tmp_path).ask().params for _ in range(3)]
    assert all(params["rate"] != 0.01 for params in later)


def test_without_a_default_inside_the_space_trial_0_is_the_samplers(tmp_path):
    asked = open_study(tmp_path, base=BASE | {"rate": 5.0}).ask()
    assert asked.number == 0
    assert 1e-4 <= asked.params["rate"] <= 1


def seeded(trial, config):
    return {"deep.other": 7}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, [True, None]),
        ({"params": PARAMS | {"rate": "tag(log,interval(1e-4,1e-3))"}}, [False, None]),
        ({"function": f"{HERE}.seeded"}, [False, None]),
        ({"params": {"name": "c,a"}, "sampler": {"name": "grid"}}, [False, True]),
    ],
)
def test_the_study_says_which_trial_is_the_default_configuration(tmp_path, changes, said):
    study = open_study(tmp_path, **changes)
    study.ask(), study.ask()
    assert [one.user_attrs.get("default") for one in stored(tmp_path).trials] == said


def test_the_option_of_a_group_without_a_name_is_the_default_too(tmp_path):
    groups = {"prompt": "cloze"}
    for name in ("tpe", "grid"):
        (tmp_path / name).mkdir()
        base = {"prompt": {"style": "cloze", "instruction": ""}}
        space = parse({"prompt": "letters,cloze"}, [], base, groups, None)
        study = OptunaStudy(
            tmp_path / name, name="s", space=space, direction="maximize", sampler={"name": name},
            pruner={"name": "none"}, seed=1, storage=None,
        )  # fmt: skip
        study.ask(), study.ask()
        (usual,) = (one for one in stored(tmp_path / name).trials if one.user_attrs.get("default"))
        assert usual.params == {"prompt": "cloze"}


def test_the_default_of_a_conditional_space_is_trial_0_and_its_function_is_called_for_every_trial(tmp_path):
    study = open_study(tmp_path, function=f"{HERE}.conditional")
    assert study.ask().params["name"] == "a"
    drawn = [study.overrides(study.ask().number) for _ in range(12)]
    for overrides in drawn:
        new = [text for text in overrides if text.startswith("+deep.new=")]
        assert bool(new) == ("name=a" not in overrides)
        assert not new or overrides[-1] == f"deep.other={new[0].split('=')[1]}"
    assert len({len(overrides) for overrides in drawn}) == 2


def test_a_trial_whose_function_failed_is_drawn_again_once_it_works(tmp_path, monkeypatch):
    study = open_study(tmp_path, base=BASE | {"rate": 5.0}, function=f"{HERE}.conditional")
    monkeypatch.setattr(FUNCTION, "breaks", True)
    with pytest.raises(ConfigError, match="not today"):
        study.ask()
    monkeypatch.setattr(FUNCTION, "breaks", False)
    again = open_study(tmp_path, base=BASE | {"rate": 5.0}, function=f"{HERE}.conditional")
    assert [known.trial for known in again.known()] == [0]
    assert len(again.overrides(0)) >= 4
    assert again.ask().number == 1


GRID = {"steps": "range(1,4)", "name": "a,b", "deep.share": [0.25, None]}


def asked_to_the_end(study):
    numbers = iter(study.ask, None)
    return [study.overrides(asked.number) for asked in numbers]


def test_a_grid_is_enumerated_once_in_order_with_the_last_key_fastest(tmp_path):
    rows = asked_to_the_end(open_study(tmp_path, GRID, sampler={"name": "grid"}))
    assert rows == [
        [f"steps={steps}", f"name={name}", f"deep.share={share}"]
        for steps in (1, 2, 3)
        for name in "ab"
        for share in ("0.25", "null")
    ]


@pytest.mark.parametrize("end", [1, 5, 11, 12])
def test_a_grid_resumes_where_it_stopped_and_ends_when_all_were_asked(tmp_path, end):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    straight.mkdir()
    broken.mkdir()
    shuffled = GRID | {"steps": "shuffle(range(1,4))"}
    rows = asked_to_the_end(open_study(straight, shuffled, sampler={"name": "grid"}))
    study = open_study(broken, shuffled, sampler={"name": "grid"})
    for number in range(end):
        study.tell(study.ask().number, complete(1.0) if number % 2 else Outcome("failed", None, "no"))
    again = open_study(broken, shuffled, sampler={"name": "grid"})
    asked_to_the_end(again)
    assert [again.overrides(number) for number in range(12)] == rows
    assert len({str(row) for row in rows}) == 12
    assert again.ask() is None
    assert len(again.known()) == 12


def test_a_grid_that_was_widened_on_purpose_asks_only_for_what_is_new(tmp_path):
    asked_to_the_end(open_study(tmp_path, GRID, sampler={"name": "grid"}))
    wider = asked_to_the_end(open_study(tmp_path, GRID | {"steps": "range(0,4)"}, sampler={"name": "grid"}))
    assert [row[0] for row in wider] == ["steps=0"] * 4


def test_a_grid_knows_the_points_that_it_has_under_the_former_name_of_a_key(tmp_path):
    base = {"peft": {"r": 8, "rank": 8}}
    asked_to_the_end(open_study(tmp_path, {"peft.r": "4,8"}, base, sampler={"name": "grid"}))
    rows = asked_to_the_end(open_study(tmp_path, {"peft.rank": "4,8,16"}, base, sampler={"name": "grid"}))
    assert rows == [["peft.rank=16"]]


def history(study, n, points, level=0.5):
    """n trials that report a level at every point and complete with it."""
    for _ in range(n):
        number = study.ask().number
        for point in points:
            study.judge(number, point, level)
        study.tell(number, complete(level))


def decisions(study, points, values):
    number = study.ask().number
    return [study.judge(number, point, value) == "prune" for point, value in zip(points, values, strict=True)]


@pytest.mark.parametrize(
    ("pruner", "values", "expected"),
    [
        ({"name": "none"}, (0.1, 0.1, 0.1), [False, False, False]),
        ({"name": "median", "n_startup_trials": 3}, (0.6, 0.6, 0.7), [False, False, False]),
        ({"name": "median", "n_startup_trials": 3}, (0.4, 0.4, 0.4), [True, True, True]),
        ({"name": "median", "n_startup_trials": 3, "n_warmup_steps": 150}, (0.4, 0.4, 0.4), [False, True, True]),
        ({"name": "median", "n_startup_trials": 9}, (0.1, 0.1, 0.1), [False, False, False]),
        (
            {"name": "successive_halving", "min_resource": 100, "reduction_factor": 2},
            (0.4, 0.4, 0.4),
            [True, True, True],
        ),
        (
            {"name": "successive_halving", "min_resource": 200, "reduction_factor": 2},
            (0.4, 0.4, 0.4),
            [False, True, True],
        ),
        ({"name": "successive_halving"}, (0.4, 0.4, 0.4), [True, True, True]),
        ({"name": "successive_halving"}, (0.6, 0.1, 0.1), [False, True, True]),
        ({"name": "successive_halving", "reduction_factor": 4}, (0.6, 0.6, 0.1), [False, False, True]),
        (
            {"name": "hyperband", "min_resource": 100, "max_resource": 400, "reduction_factor": 2},
            (0.9, 0.9, 0.9),
            [False, False, False],
        ),
        ({"name": "threshold", "lower": 0.3}, (0.5, 0.4, 0.2), [False, False, True]),
        ({"name": "threshold", "upper": 0.3}, (0.1, float("nan"), 0.1), [False, True, True]),
        ({"name": "patient", "patience": 1}, (0.4, 0.3, 0.2), [False, False, True]),
        (
            {"name": "patient", "patience": 1, "wrapped": {"name": "median", "n_startup_trials": 3}},
            (0.4, 0.3, 0.2),
            [False, False, True],
        ),
        (
            {"name": "patient", "patience": 1, "wrapped": {"name": "median", "n_startup_trials": 3}},
            (0.9, 0.8, 0.7),
            [False, False, False],
        ),
    ],
)
def test_pruners_decide_by_what_other_trials_reported_at_the_same_points(tmp_path, pruner, values, expected):
    study = open_study(tmp_path, pruner=pruner)
    history(study, 5, (100, 200, 400))
    assert decisions(study, (100, 200, 400), values) == expected
    again = open_study(tmp_path, pruner=pruner)
    assert (again.judge(5, 400, 0.123) == "prune") is expected[-1]


def test_the_default_configuration_is_never_pruned(tmp_path):
    study = open_study(tmp_path, pruner={"name": "threshold", "lower": 0.5})
    assert [decisions(study, (100, 200), (0.1, 0.1)) for _ in range(2)] == [[False, False], [True, True]]


def test_hyperband_prunes_bad_trials_in_some_bracket(tmp_path):
    study = open_study(tmp_path, pruner={"name": "hyperband", "min_resource": 100, "max_resource": 400})
    history(study, 12, (100, 200, 400))
    assert any(any(decisions(study, (100, 200, 400), (0.1, 0.1, 0.1))) for _ in range(6))


def test_only_trials_at_a_common_point_are_compared(tmp_path):
    study = open_study(tmp_path, pruner={"name": "median", "n_startup_trials": 3})
    history(study, 5, (100, 200))
    assert decisions(study, (150, 250), (0.1, 0.1)) == [False, False]


def test_where_less_is_better_the_higher_one_is_pruned(tmp_path):
    study = open_study(tmp_path, pruner={"name": "median", "n_startup_trials": 3}, direction="minimize")
    history(study, 5, (100,))
    assert decisions(study, (100,), (0.6,)) == [True]
    assert decisions(study, (100,), (0.4,)) == [False]


@pytest.mark.filterwarnings("error")
def test_the_first_report_of_a_point_counts_also_after_a_restart(tmp_path):
    study = open_study(tmp_path)
    study.ask()
    study.judge(0, 100, 0.5)
    study.judge(0, 100, 0.9)
    again = open_study(tmp_path)
    again.judge(0, 100, 0.7)
    again.judge(0, 200, 0.8)
    assert stored(tmp_path).trials[0].intermediate_values == {100: 0.5, 200: 0.8}


def test_what_comes_after_the_end_of_a_trial_changes_nothing(tmp_path):
    study = open_study(tmp_path)
    study.ask()
    study.tell(0, complete(0.5))
    study.tell(0, Outcome("failed", None, "late"))
    assert study.judge(0, 100, 0.1) == "continue"
    again = open_study(tmp_path)
    again.tell(0, complete(0.9))
    assert again.known() == [RecoveredTrial(0, Outcome("complete", 0.5, None), 0, None)]


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome("failed", None, "OutOfMemoryError: 3 GB"), "OutOfMemoryError: 3 GB"),
    ],
)
def test_a_failed_trial_has_its_reason_in_the_study(tmp_path, outcome, error):
    study = open_study(tmp_path)
    study.ask()
    study.tell(0, outcome)
    trial = stored(tmp_path).trials[0]
    assert (trial.state, trial.user_attrs["error"]) == (TrialState.FAIL, error)
    assert open_study(tmp_path).known()[0].outcome == Outcome("failed", None, error)


def test_what_somebody_put_into_optunas_queue_is_asked_next_and_no_trial_before(tmp_path):
    study = open_study(tmp_path)
    study.ask()
    stored(tmp_path).enqueue_trial({"rate": 0.5, "steps": 8, "name": "c", "deep.share": 0.25})
    assert [known.trial for known in open_study(tmp_path).known()] == [0]
    assert study.ask().params == {"rate": 0.5, "steps": 8, "name": "c", "deep.share": 0.25}
    assert study.overrides(1) == ["rate=0.5", "steps=8", "name=c", "deep.share=0.25"]
    assert study.ask().number == 2


def test_a_copied_folder_is_the_same_study(tmp_path):
    (tmp_path / "one").mkdir()
    run(open_study(tmp_path / "one"), 3)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert run(open_study(tmp_path / "one"), 2) == run(open_study(tmp_path / "two"), 2)


def picky(trial, config):
    return {"deep.other": trial.suggest_categorical("+deep.new", [1, 2, 3] if trial.params["name"] == "b" else [1, 2])}


def test_a_function_that_fails_costs_the_trial_and_not_the_study_and_what_has_ended_can_be_reported(tmp_path):
    study = open_study(tmp_path, {"name": "a,b"}, function=f"{HERE}.picky", base=BASE | {"name": "b"})
    numbers = [study.ask().number for _ in range(8)]
    lost = [number for number in numbers if not study.own_overrides(number)]
    assert numbers == list(range(8)) and 0 < len(lost) < 8
    for again in (study, open_study(tmp_path, {"name": "a,b"}, function=f"{HERE}.picky")):
        for number in numbers:
            if number in lost:
                with pytest.raises(ConfigError, match=r"A key has the same choices in every trial"):
                    again.overrides(number)
            else:
                assert len(again.overrides(number)) == 3
    again.tell(lost[0], Outcome("failed", None, "why"))
    assert stored(tmp_path).trials[lost[0]].user_attrs["error"] == "why"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"name": "a,b"}, {"name": "a,b,c"}, r"name: choice\(a,b\) -> choice\(a,b,c\)"),
        ({"steps": "1,4"}, {"steps": "int(interval(1,8))"}, r"steps: choice\(1,4\) -> whole numbers"),
        ({"rate": "interval(0.001,1)"}, {"rate": "tag(log,interval(0.001,1))"}, "rate: floats -> floats on a log"),
    ],
)
def test_choices_that_the_study_cannot_take_are_refused_when_it_is_opened(tmp_path, before, after, said):
    study = open_study(tmp_path, before)
    study.tell(study.ask().number, complete(1.0))
    with pytest.raises(ConfigError, match=said):
        open_study(tmp_path, after)
    open_study(tmp_path, before | {"deep.share": "range(0,1,0.5)"}).ask()


def test_one_storage_has_one_folder_until_that_is_gone_or_the_study_is_taken_over(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    one.mkdir()
    two.mkdir()
    open_study(one, storage=url).ask()
    open_study(one, storage=url)
    with pytest.raises(ConfigError, match=f"belongs to {one}; .*allow_changes=true"):
        open_study(two, storage=url)
    open_study(two, storage=url, name="other")
    two.rmdir()
    one.rename(three)
    assert open_study(three, storage=url).ask().number == 1
    two.mkdir()
    assert open_study(two, storage=url, take_over=True).ask().number == 2
    with pytest.raises(ConfigError, match=f"belongs to {two}"):
        open_study(three, storage=url)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampler": {"name": "tpee"}}, "there is none of that name; tpe, gp, random, grid. Did you mean 'tpe'?"),
        ({"sampler": {"name": "tpe", "n_startup": 3}}, "It takes: .*n_startup_trials"),
        ({"sampler": {"name": "random", "seed": 3}}, "the seed of a study is hydra.sweeper.seed"),
        ({"sampler": {"name": "grid"}}, "rate, steps has no list of values"),
        ({"sampler": {"name": "grid", "order": 1}}, "takes no options, got order"),
        ({"pruner": {"name": "successive_halving", "reduction_factor": 1}}, "must be `reduction_factor >= 2`"),
        ({"pruner": {"name": "mediann"}}, "Did you mean 'median'?"),
        ({"pruner": {"name": "median", "n_startup_trials": -1}}, "cannot be negative"),
        ({"pruner": {"name": "patient", "patience": 1, "wrapped": {"name": "x"}}}, "pruner.name=x"),
        ({"params": {"steps": 1}}, "nothing varies"),
        ({"storage": "mysterious://u@host/x"}, r"storage=mysterious://u@host/x: cannot be opened"),
    ],
)
def test_what_does_not_go_together_is_refused_with_what_would_do(tmp_path, changes, said):
    with pytest.raises(ConfigError, match=said):
        open_study(tmp_path, **changes)


def test_a_study_cannot_turn_its_direction(tmp_path):
    open_study(tmp_path)
    with pytest.raises(ConfigError, match="was begun with maximize"):
        open_study(tmp_path, direction="minimize")


def test_a_journal_that_is_damaged_in_the_middle_is_refused_with_its_line(tmp_path):
    run(open_study(tmp_path), 2)
    journal = tmp_path / "journal.log"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:3], "what\n", *lines[3:]]))
    with pytest.raises(FileError, match=r"journal.log:4: the study's journal is damaged"):
        open_study(tmp_path)
