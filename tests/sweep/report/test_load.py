"""A study is read at any moment, whatever its files disagree about, and damage is named."""

import os
import re
import shutil

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from mcqa.sweep.report import write
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import NOW, START, Written, exactly, make_study, mixed_study, trials


def test_a_result_counts_before_the_storage_knows_it(tmp_path):
    rows = [Written(right=exactly(5, 10), in_storage=False), Written("failed", error="x", in_storage=False)]
    trials = read_study(make_study(tmp_path, rows), NOW).trials
    assert [trial.status for trial in trials] == ["complete", "failed"]
    assert trials[0].value == 0.5 and trials[1].error == "x"


def test_a_preempted_trial_is_waiting(tmp_path):
    assert read_study(make_study(tmp_path, [Written("preempted")]), NOW).trials[0].status == "waiting"


def test_a_paused_trial_is_neither_running_nor_waiting(tmp_path):
    folder = make_study(tmp_path, [Written("paused", reports=[(100, 0.5)]), Written(value=0.5), Written("running")])
    study = read_study(folder, NOW)
    assert [trial.status for trial in study.trials] == ["paused", "complete", "running"]
    page = write.write_report(folder)
    assert page.counts["paused"] == 1 and "1 paused" in (folder / "report.html").read_text()


def test_a_running_trial_has_run_until_its_last_sign_of_life(tmp_path):
    folder = make_study(tmp_path, [Written("running")])
    assert read_study(folder, NOW).trials[0].seconds == NOW - START
    (folder / "trials/0/heartbeat").touch()
    os.utime(folder / "trials/0/heartbeat", (START + 90, START + 90))
    assert read_study(folder, NOW).trials[0].seconds == 90


def test_the_first_of_two_reports_of_a_point_counts(tmp_path):
    folder = make_study(tmp_path, [Written(value=0.5, reports=[(100, 0.1), (200, 0.2), (100, 0.9)])])
    assert read_study(folder, NOW).trials[0].reports == ((100, 0.1), (200, 0.2))


def test_a_value_that_is_not_finite_is_no_value(tmp_path):
    study = read_study(make_study(tmp_path, [Written(value=float("inf")), Written(value=0.5)]), NOW)
    assert [trial.value for trial in study.trials] == [None, 0.5]
    assert [trial.number for trial in study.complete] == [1]


# --- older studies ----------------------------------------------------------------------------------------------------


def test_a_direction_in_a_list_of_one_is_read(tmp_path):
    folder = make_study(tmp_path, [Written(value=0.5)], direction="minimize", journal=False)
    text = (folder / "study.yaml").read_text().replace("direction: minimize", "directions: [minimize]")
    (folder / "study.yaml").write_text(text)
    assert read_study(folder, NOW).direction == "minimize"


def test_only_the_first_of_several_objectives_is_read(tmp_path):
    folder = make_study(tmp_path, [], metric=["dev/acc", "seconds"], journal=False)
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    study = optuna.create_study(study_name=folder.name, storage=storage, directions=["maximize", "minimize"])
    for values in ([0.5, 10.0], [0.7, 20.0]):
        study.add_trial(optuna.trial.create_trial(values=values))
    summary = write.write_report(folder)
    assert (summary.best, summary.value) == (1, 0.7)
    assert summary.problems == ("The study has several objectives; this report shows only the first of them, dev/acc.",)


# --- damage -----------------------------------------------------------------------------------------------------------


def cut_in_half(path):
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("study.yaml", "study.yaml lacks "),
        ("trials/0/result.json", "trials/0/result.json is damaged"),
        ("trials/1/job.json", "trials/1/job.json is damaged"),
        ("trials/1/predictions/dev.jsonl", "dev.jsonl is damaged"),
    ],
)
def test_a_half_written_file_is_named_and_the_rest_is_reported(tmp_path, name, message):
    folder = mixed_study(tmp_path)
    cut_in_half(folder / name)
    summary = write.write_report(folder)
    assert any(message in problem for problem in summary.problems)
    assert summary.counts["complete"] == 2 and summary.best == 1
    assert (folder / "report.html").stat().st_size > 20_000


def test_unreadable_lines_of_reports_are_skipped_and_named(tmp_path):
    folder = mixed_study(tmp_path)
    lines = (
        '{"point": 100, "value": 0.4}\n{"point": 2\nnull\n{"point": 300, "value": NaN}\n{"point": 400, "value": 1.0}\n'
    )
    (folder / "trials/1/reports.jsonl").write_text(lines + '{"poi')
    study = read_study(folder, NOW)
    assert study.trials[1].reports == ((100, 0.4), (400, 1.0))
    assert study.problems == ("Unreadable lines of reports.jsonl were skipped: trials 1.",)


def test_a_line_that_is_just_being_written_is_no_damage(tmp_path):
    folder = mixed_study(tmp_path)
    with (folder / "trials/4/reports.jsonl").open("a") as lines:
        lines.write('{"point": 2')
    with (folder / "journal.log").open("a") as lines:
        lines.write('{"op_code": 6, "worker')
    assert read_study(folder, NOW).problems == ()


def test_a_study_without_its_storage_is_read_from_the_trials_folders(tmp_path):
    whole, folder = mixed_study(tmp_path / "a"), mixed_study(tmp_path / "b")
    lines = (folder / "journal.log").read_text().splitlines()
    (folder / "journal.log").write_text("\n".join([lines[0][:30], *lines[1:]]) + "\n")
    expected, study = read_study(whole, NOW), read_study(folder, NOW)
    assert "The study's storage cannot be read" in study.problems[0]
    for one, other in zip(expected.trials, study.trials, strict=True):
        assert (one.status, one.value, one.params) == (other.status, other.value, other.params)
        assert (one.reports, one.started, one.error) == (other.reports, other.started, other.error)
    assert [(one.key, one.log) for one in study.swept] == [(one.key, one.log) for one in expected.swept]
    assert write.write_report(folder).best == 1


def test_a_sqlite_storage_that_is_gone_is_not_created(tmp_path):
    folder = mixed_study(tmp_path)
    with (folder / "study.yaml").open("a") as text:
        text.write(f"storage: sqlite:///{tmp_path}/gone.db\n")
    assert "there is no" in read_study(folder, NOW).problems[0]
    assert not (tmp_path / "gone.db").exists()


@pytest.mark.parametrize(
    "url", ["sqlite:///{file}?timeout=60", "sqlite+pysqlite:///{file}", "sqlite:///file:{file}?uri=true&timeout=60"]
)
def test_a_sqlite_storage_is_read_whatever_options_its_url_has(tmp_path, url):
    folder, url = make_study(tmp_path, trials(60), journal=False), url.format(file=tmp_path / "study.db")
    study = optuna.create_study(study_name=folder.name, storage=url)
    study.add_trial(optuna.trial.create_trial(value=0.25))
    with (folder / "study.yaml").open("a") as text:
        text.write(f"storage: {url}\n")
    assert read_study(folder, NOW).problems == ()
    assert read_study(folder, NOW).trials[0].value == 0.25


def test_a_folder_of_a_trial_that_the_storage_lacks_is_named(tmp_path):
    folder = mixed_study(tmp_path)
    shutil.copytree(folder / "trials" / "0", folder / "trials" / "17")
    study = read_study(folder, NOW)
    assert study.problems == ("The study's storage lacks trials 17; what their folders say counts. Were they copied?",)
    assert study.trials[-1].number == 17


def test_a_journal_with_a_line_that_nothing_before_it_explains_is_named_with_the_line(tmp_path):
    folder = mixed_study(tmp_path)
    with (folder / "journal.log").open("a") as lines:
        lines.write('{"op_code": 4, "study_id": 7, "worker_id": "x", "datetime_start": null}\n')
    assert re.search(r"journal\.log:\d+: .* no line before it begins", read_study(folder, NOW).problems[0])
