"""A best value at an end of its range is said, with a wider range to try as a command."""

import shlex

import pytest
import yaml

from mcqa.sweep.report import edges
from mcqa.sweep.report.load import read_study
from mcqa.sweep.space.parsing import read_dimension
from tests.sweep.report.recorded_studies import NOW, Written, factor_study, make_study, result_of, trials


def notes_of(folder):
    return edges.notes(read_study(folder, NOW), result_of(folder))


def test_a_best_factor_at_the_end_of_its_list_is_said_with_a_command_for_a_wider_list(tmp_path):
    (note,) = notes_of(factor_study(tmp_path, 20, 30, 40, 60, 90))
    assert "optimizer.beta = 0.2 (10 ×), tried from 0.1 to 10 ×. To" in note
    line = note.partition("To look there: ")[2]
    assert line.startswith("<your app> --multirun +experiment=qlora_mcqa +sweeps=core ")
    assert shlex.split(line)[-2:] == [
        "optimizer.beta=tag(factor,choice(0.1,0.3,1.0,3.0,10.0,30.0,100.0))",
        "hydra.sweeper.study_name=core-qlora_mcqa-wider",
    ]


@pytest.mark.parametrize("counts", [(20, 30, 90, 60, 40), (90, 30, 40, 50, 89), (89, 88, 90, 89, 90)])
def test_a_best_in_the_middle_or_tied_with_the_other_half_is_no_matter(tmp_path, counts):
    assert notes_of(factor_study(tmp_path, *counts)) == []


def test_what_the_command_line_said_is_said_again_without_the_old_range_and_name(tmp_path):
    given = ["+experiment=qlora_mcqa", "++optimizer.beta=tag(factor,choice(1,3,10))", "model.path=a b"]
    folder = factor_study(tmp_path, 20, 30, 40, 60, 90, overrides=given)
    of_hydra = ["hydra.mode=MULTIRUN", "hydra.sweeper.n_jobs=4", "hydra.sweeper.study_name=core-qlora_mcqa"]
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"hydra": of_hydra}}}))
    words = shlex.split(notes_of(folder)[0].partition("To look there: ")[2])
    assert words[:-2] == ["<your", "app>", "--multirun", "+experiment=qlora_mcqa", "model.path=a b", of_hydra[1]]
    assert words[-2].startswith("optimizer.beta=tag(factor,choice(0.1,")


def test_without_ties_the_best_alone_decides(tmp_path):
    rows = [Written(value=rate, params={"optimizer.learning_rate": rate}) for rate in (1e-5, 1e-4, 1e-3, 9.9e-3)]
    space = {"optimizer.learning_rate": "tag(log,interval(1e-05,0.01))"}
    (note,) = notes_of(make_study(tmp_path, rows, metric="score", space=space))
    assert "'optimizer.learning_rate=tag(log,interval(1e-05,0.316))'" in note


@pytest.mark.parametrize(
    ("grammar", "upwards", "wider"),
    [
        ("tag(log,factor,interval(0.1,10.0))", True, "tag(log,factor,interval(0.1,100.0))"),
        ("tag(log,interval(0.1,10.0))", False, "tag(log,interval(0.01,10.0))"),
        ("interval(0.0,0.2)", True, "interval(0.0,0.3)"),
        ("interval(0.0,0.2)", False, None),
        ("int(interval(1,65))", True, "int(interval(1,97))"),
        ("tag(log,int(interval(1,64)))", False, None),
        ("choice(1,2,4,8)", True, "choice(1,2,4,8,16,32)"),
        ("choice(1,2,4,8)", False, None),
        ("choice(0.0,0.05,0.1)", True, "choice(0.0,0.05,0.1,0.15,0.2)"),
        ("tag(factor,choice(0.1,0.3,1))", False, "tag(factor,choice(0.01,0.03,0.1,0.3,1))"),
        ("range(2,10,2)", True, "choice(2,4,6,8,12,16)"),
    ],
)
def test_a_wider_range_goes_on_as_the_range_does(grammar, upwards, wider):
    found = edges._wider(read_dimension("some.key", grammar), upwards)
    assert (found and found.grammar) == wider


@pytest.mark.parametrize("space", [{}, {"peft.rank": "choice(4"}, {"seed": "range(0,9)"}, {"peft.rank": "choice(4,8)"}])
def test_no_numbers_no_range_and_a_seed_have_no_end(tmp_path, space):
    assert notes_of(make_study(tmp_path, trials(50, 60, 90), space=space)) == []
