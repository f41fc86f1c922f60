"""Where the noise of a difference comes from."""

import csv
import math

import numpy as np
import pytest

from mcqa.compare import export, noise, page, sections
from tests.compare.finished_runs import asked, compared, make_run


def of_seeds(tmp_path, counts, between, chance, questions=300):
    """Runs whose seeds vary by `between`, and single answers by `chance` (logits)."""
    generator, hard = np.random.default_rng(5), np.random.default_rng(0).normal(0.5, 1, questions)
    runs = []
    for side, count in enumerate(counts):
        own = hard + generator.normal(0, 0.5, questions)
        for seed in range(count):
            right = own + between * generator.normal() + chance * generator.normal(size=questions) > 0
            runs.append(make_run(tmp_path, f"r{side}{seed}", right.tolist(), seed=seed, peft__rank=side))
    return runs


@pytest.mark.parametrize(
    ("between", "chance", "largest"), [(0, 0.05, "questions"), (1, 0.05, "seeds"), (0, 3, "interaction")]
)
def test_the_largest_source_is_the_one_that_made_the_noise(tmp_path, between, chance, largest):
    [found] = noise.noise(compared(*of_seeds(tmp_path, (4, 4), between, chance)))
    assert max(noise.SOURCES, key=found.share) == largest
    assert sum(map(found.share, noise.SOURCES)) == pytest.approx(1)


def test_the_sources_add_up_to_the_standard_error_of_the_difference(tmp_path):
    comparison = compared(*of_seeds(tmp_path, (4, 5), 0.5, 0.5))
    [found], difference = noise.noise(comparison), comparison.pairs[0].difference
    assert math.sqrt(found.questions + found.interaction) == pytest.approx(difference.standard_error_questions)
    assert math.sqrt(found.seeds) == pytest.approx(difference.standard_error_seeds)


def test_single_runs_cannot_tell_sources_apart(tmp_path):
    assert noise.sections(compared(*of_seeds(tmp_path, (1, 1), 0.5, 0.5))) == []


def test_one_seed_borrows_and_a_base_has_none(tmp_path):
    [found] = noise.noise(compared(*of_seeds(tmp_path / "one", (1, 4), 0.5, 0.5)))
    side = found.components.sides[1]
    assert found.seeds == pytest.approx(side.seeds * (1 + 1 / 4))
    right = [[True, False, True] * 20, [False, True, True] * 20]
    runs = [make_run(tmp_path, f"b{i}", answers, base=[True] * 60, seed=i) for i, answers in enumerate(right)]
    assert len(noise.noise(compared(*runs))[0].components.sides) == 1


def test_the_table_is_on_the_page_and_in_its_file(tmp_path):
    runs = of_seeds(tmp_path, (3, 3), 1, 0.05)
    comparison, chosen = compared(*runs), asked(*runs, out=str(tmp_path / "out"))
    answers = [its for its in sections.answer(comparison, chosen) if its.name == "noise"]
    assert answers[0].answers[0].startswith("Noise of rank=1 against rank=0: ")
    assert answers[0].answers[0].endswith("from seeds, which more seeds make smaller, and more questions do not.")
    [row] = csv.DictReader((export.write(comparison, chosen, answers) / "noise.csv").open())
    squares = sum(float(row[f"standard_error_{source}"]) ** 2 for source in noise.SOURCES)
    assert squares == pytest.approx(float(row["standard_error"]) ** 2)
    assert "Where the noise comes from" in page.render_page(comparison, {}, answers)
