"""Differences by subject: each alone and corrected, and whether subjects differ at all."""

import csv
import random

import numpy as np
import pytest

from mcqa.compare import export, page, sections, sentences, subjects
from mcqa.evaluation import statistics
from tests.compare.finished_runs import asked, compared, make_run, predicted, question


def rows(names, shares, seed, each=40, **changes):
    draw = random.Random(seed)
    asked = [(name, share) for name, share in zip(names, shares, strict=True) for _ in range(each)]
    return [
        predicted(draw.random() < share, question(i, subject=name, **changes)) for i, (name, share) in enumerate(asked)
    ]


def two(tmp_path, before, after):
    return make_run(tmp_path, "a", before, peft__rank=1), make_run(tmp_path, "b", after, peft__rank=2)


def test_each_subject_has_its_difference_and_the_smallest_p_comes_first(tmp_path):
    names = ("art", "law", "sea")
    runs = two(tmp_path, rows(names, (0.3, 0.5, 0.5), 1), rows(names, (0.9, 0.5, 0.5), 2))
    comparison = compared(*runs)
    [found] = subjects.by_subject(comparison, "auto")
    first = found.subjects[0]
    assert (first.name, first.questions, first.significant) == ("art", 40, True)
    art = [[row.correct for row in own.predictions[0][:40]] for own in comparison.configurations]
    expected = statistics.mcnemar(*art)
    assert first.difference == expected.difference
    assert first.estimate.interval(0.95) == pytest.approx((expected.low, expected.high))
    assert sum(its.questions * its.difference for its in found.subjects) / 120 == pytest.approx(
        comparison.pairs[0].difference.estimate
    )
    ps = [its.p for its in found.subjects]
    assert ps == sorted(ps) and first.p_adjusted == pytest.approx(min(3 * ps[0], 3 * ps[1] / 2, ps[2]))
    assert found.p_equal < 0.01


def test_subjects_that_gain_alike_are_not_shown_to_differ():
    generator, names = np.random.default_rng(0), [f"s{i % 8}" for i in range(320)]
    ps = [subjects.p_all_equal(generator.choice([-1.0, 0, 0, 1, 1], 320), names, None, 99) for _ in range(60)]
    assert sum(p < 0.05 for p in ps) < 8 and max(ps) > 0.8


def test_one_subject_that_gains_is_found():
    generator, names = np.random.default_rng(0), [f"s{i % 8}" for i in range(320)]
    differences = generator.choice([-1.0, 0, 0, 0, 1], 320) + np.array([name == "s3" for name in names])
    assert subjects.p_all_equal(differences.clip(-1, 1), names, None, 199) <= 0.01


def test_clusters_that_flip_as_wholes_are_dealt_as_wholes():
    """Eight questions that flip at once are one finding: as independent ones they would make subjects differ."""
    generator, names = np.random.default_rng(0), [f"s{i // 40}" for i in range(320)]
    clusters = [f"c{i // 8}" for i in range(320)]
    ps = {True: [], False: []}
    for _ in range(60):
        differences = generator.choice([-1.0, 0, 1], 40).repeat(8)
        for heeded, found in ps.items():
            found.append(subjects.p_all_equal(differences, names, clusters if heeded else None, 99))
    assert sum(p < 0.05 for p in ps[True]) < 8 < 20 < sum(p < 0.05 for p in ps[False])


def test_questions_of_one_subject_or_none_have_no_section(tmp_path):
    names = ("art",)
    one = compared(*two(tmp_path / "one", rows(names, (0.5,), 1), rows(names, (0.5,), 2)))
    none = compared(*two(tmp_path / "none", rows(("",), (0.5,), 1), rows(("",), (0.5,), 2)))
    assert subjects.sections(one, "auto") == subjects.sections(none, "auto") == []


def test_a_subject_of_one_passage_shows_nothing_by_itself(tmp_path):
    before, after = ([*rows(("art", "law"), (0.5, 0.5), seed)] for seed in (1, 2))
    alone = [predicted(right, question(99, subject="sea", context="alone")) for right in (False, True)]
    runs = two(tmp_path, [*before, alone[0]], [*after, alone[1]])
    [section] = subjects.sections(compared(*runs), "auto")
    assert [row[3] for row in section.table.rows if row[1] == "sea"] == ["+100.0"]
    assert [row["p"] for row in section.rows if row["subject"] == "sea"] == [1.0]


def test_subjects_as_clusters_leave_questions_within_one_independent(tmp_path):
    names = ("art", "law", "sea")
    runs = two(tmp_path, rows(names, (0.3, 0.5, 0.5), 1), rows(names, (0.9, 0.5, 0.5), 2))
    [as_clusters] = subjects.by_subject(compared(*runs, cluster="subject"), "subject")
    [plain] = subjects.by_subject(compared(*runs), "auto")
    assert as_clusters == type(plain)(as_clusters.pair, plain.subjects, plain.p_equal)


def test_the_answer_names_what_is_significant_and_is_in_every_file(tmp_path):
    names = ("art", "law", "sea")
    runs = two(tmp_path, rows(names, (0.2, 0.5, 0.5), 1), rows(names, (0.9, 0.5, 0.5), 2))
    comparison, chosen = compared(*runs), asked(*runs, out=str(tmp_path / "out"))
    answers = [its for its in sections.answer(comparison, chosen) if its.name == "subjects"]
    [sentence] = answers[0].answers
    assert sentence.startswith("rank=2 against rank=1, by subject: 1 of 3 significant (art +")
    assert "the difference varies between subjects (permutation test, p = 0.0010; of these runs)." in sentence
    folder = export.write(comparison, chosen, answers)
    kept = list(csv.DictReader((folder / "subjects.csv").open()))
    assert (kept[0]["subject"], kept[0]["significant"]) == ("art", "True")
    assert int(kept[0]["newly right"]) - int(kept[0]["newly wrong"]) == float(kept[0]["net"]) > 0
    assert answers[0].table.rows[0][4] == f"+{kept[0]['newly right']} −{kept[0]['newly wrong']}"
    text = page.render_page(comparison, {}, answers)
    assert "Differences by subject" in text and "Benjamini &amp; Hochberg 1995" in text


def test_over_seeds_the_table_has_the_net_with_a_decimal(tmp_path):
    names, sides = ("art", "law"), ((0.3, 0.5), (0.9, 0.5))
    runs = [
        make_run(tmp_path, f"r{side}{seed}", rows(names, shares, 10 * side + seed), seed=seed, peft__rank=side)
        for side, shares in enumerate(sides)
        for seed in (0, 1)
    ]
    [section] = subjects.sections(compared(*runs), "auto")
    for shown, row in zip(section.table.rows, section.rows, strict=True):
        assert shown[4].endswith(f"(net {sentences.net(row['net'], True)})")
