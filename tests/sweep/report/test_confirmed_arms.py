"""The arms of a study with new seeds: table, examples, costs, sentences and report.md, from made-up runs."""

import hashlib
import json
import re

import pytest
import yaml

from mcqa.evaluation import predictions, statistics
from mcqa.sweep.confirmation import jobs, select_configurations
from mcqa.sweep.report import confirmed_sentences, markdown, write
from mcqa.sweep.report.confirmation import read_confirmation
from mcqa.sweep.report.confirmed_arms import confirmed_arms
from mcqa.sweep.report.load import read_study
from tests.sweep.report.recorded_studies import BASE, NOW, Written, answered, exactly, make_study, result_of

SPACE = {"experiment": "choice(base,retrieval,text,paraphrases,sft,sft_then_dpo)"}
BEST = [exactly(180, 200), exactly(184, 200), exactly(176, 200)]
GOOD = [exactly(176, 200, 3), exactly(182, 200, 3), exactly(174, 200, 3)]
POOR = [exactly(60, 200), exactly(62, 200), exactly(58, 200)]
ARMS = {
    "base": [exactly(50, 200, 20)],
    "retrieval": [exactly(150, 200)],
    "text": GOOD,
    "paraphrases": BEST,
    "sft": POOR,
}


def study_of(root, **arms):
    """A study whose arms are these experiments, each with the answers to test of its runs; None: a run that failed."""
    trials = [Written(right=exactly(50, 80), params={"experiment": name}, default=name == "base") for name in arms]
    base = BASE | {"model": {"name": "starter"}, "data": {"name": "new_facts"}}
    folder = make_study(root, trials, name="finetune_or_retrieve", space=SPACE, base=base)
    description = yaml.safe_load((folder / "study.yaml").read_text()) | {"arms": ["experiment"]}
    (folder / "study.yaml").write_text(yaml.safe_dump(description))
    rows = []
    for number, (name, seeds) in enumerate(arms.items()):
        runs = [run_of(folder, name, seed, right) for seed, right in enumerate(seeds, 1)]
        rows.append({"trial": number, "default": name == "base", "params": {}, "runs": runs})
    (folder / "confirm.json").write_text(json.dumps({"metric": "test/acc", "configurations": rows}))
    return folder


def run_of(study, name, seed, right):
    if right is None:
        return {"seed": seed, "error": "Traceback …\nTrainingError: out of memory"}
    folder, evaluation = study / "runs" / f"{name}{seed}", {"context": None, "context_k": 3}
    predictions.write(folder / "predictions" / "test.jsonl", answered(right))
    evaluation |= {"context": "bm25"} if name == "retrieval" else {}
    objective = {"name": "none" if name in ("base", "retrieval") else "sft"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"objective": objective, "evaluation": evaluation}))
    metrics = {"test/recall_at_k": 0.875} if name == "retrieval" else {}
    result = {"status": "complete", "metrics": metrics, "seconds": 60.0 * seed, "peak_memory_bytes": seed * 2**30}
    (folder / "result.json").write_text(json.dumps(result))
    return {"seed": seed, "value": sum(right) / len(right), "folder": f"runs/{name}{seed}"}


def arms_of(folder):
    study, problems = read_study(folder, NOW), []
    found = confirmed_arms(study, result_of(folder), read_confirmation(study, problems))
    return found, problems


def said(folder):
    found, _ = arms_of(folder)
    sentences = [*confirmed_sentences.supported(found), *confirmed_sentences.limits(found)]
    return [confirmed_sentences.verdict(found), *sentences]


def test_arms_are_ranked_by_their_means_and_every_pair_is_tested_and_adjusted(tmp_path):
    found, problems = arms_of(study_of(tmp_path, **ARMS))
    assert [arm.name for arm in found.arms] == ["paraphrases", "text", "retrieval", "sft", "base"]
    assert found.base.name == "base" and problems == []
    pairs = {(one.name, other.name): pair for one, other, pair in found.ranked_pairs}
    assert len(pairs) == 10 and all(pair.difference.value > 0 for pair in pairs.values())
    expected = statistics.pooled_difference(ARMS["sft"], ARMS["text"])
    assert pairs["text", "sft"].difference == pytest.approx((expected.difference, expected.low, expected.high))
    raw = {key: statistics.pooled_difference(
        ARMS[key[1]], ARMS[key[0]], every_side_has_seeds=not {"base", "retrieval"} & {*key}
    ).p for key in pairs}  # fmt: skip
    assert [pair.p_holm for pair in pairs.values()] == pytest.approx(statistics.holm(list(raw.values())))


def test_what_an_untrained_arm_reaches_has_no_seed_variance(tmp_path):
    """Also where an earlier version ran it with several seeds, which all answer the same."""
    found, _ = arms_of(study_of(tmp_path, **ARMS))
    single = found.base.run.mean
    assert single == pytest.approx((0.25, *statistics.accuracy_interval(ARMS["base"][0], None)))
    repeated, _ = arms_of(study_of(tmp_path / "again", **(ARMS | {"base": ARMS["base"] * 3})))
    assert repeated.base.run.mean.value == single.value
    before, after = (one.pair(one.arms[0], one.base).difference for one in (found, repeated))
    assert before == pytest.approx(after, abs=1e-9)
    sentence = "retrieval and base train nothing: no seed changes them, so there is no seed variance."
    assert sentence in said(found.study.folder) and sentence in said(repeated.study.folder)


def test_costs_are_means_over_whole_runs_and_retrieval_says_what_it_found(tmp_path):
    found, _ = arms_of(study_of(tmp_path, **ARMS))
    headings, rows = markdown.table(found)
    assert headings == [
        "arm", "seeds", "accuracy on test", "95 % interval", "from base (95 % CI)", "p (Holm)", "time", "peak memory",
        "recall@3",
    ]  # fmt: skip
    cells = {row[0]: dict(zip(headings, row, strict=True)) for row in rows}
    assert (cells["text"]["time"], cells["text"]["peak memory"]) == ("2 min", "2.00 GiB")
    assert (cells["base"]["seeds"], cells["base"]["time"], cells["base"]["from base (95 % CI)"]) == ("1", "1 min", "–")
    assert [cells[name]["recall@3"] for name in ("retrieval", "text")] == ["87.5 %", "–"]
    assert re.fullmatch(r"\+65\.0 points \(.+ to .+\)", cells["paraphrases"]["from base (95 % CI)"])
    assert cells["paraphrases"]["p (Holm)"] == "< 0.0001"


def test_sentences_claim_what_the_tests_support_and_no_more(tmp_path):
    verdict, against, *others = said(study_of(tmp_path, **ARMS))
    assert verdict.startswith(
        "On test paraphrases has the best accuracy of 5 arms, 90.0 %; base has 25.0 %: +65.0 points"
    )
    assert verdict.endswith("Holm-adjusted p < 0.0001, a significant difference.")
    assert re.match(
        r"Significantly better than base: paraphrases \+65.0 .*, text .* and retrieval \+50.0 points", against
    )
    told = " ".join(others)
    assert "Not significantly different from base: sft +5.0 points (95 % CI " in told
    assert (
        "The best arm against the second: no statistically significant difference between paraphrases and text" in told
    )
    assert "More phrasings of each fact: no statistically significant difference between paraphrases and text: " in told
    assert told.count("That does not show that there is none.") == 2 and "no effect" not in told
    assert "Retrieval against the best fine-tuned arm: retrieval is significantly worse than paraphrases: −15.0" in told
    assert "contain the right answer's text for 87.5 % of the questions" in told
    assert "Each arm had one trial, so nothing was chosen, neither on dev nor on test" in told
    assert "about starter and new_facts" in told and "(PPO, GRPO) are no part" in told
    assert "DPO" not in told  # there is no such arm


def test_what_dpo_adds_is_said_where_it_is_an_arm(tmp_path):
    told = said(study_of(tmp_path, base=ARMS["base"], sft=POOR, sft_then_dpo=BEST))
    assert any(
        text.startswith("DPO after supervised fine-tuning: sft_then_dpo is significantly better than sft: +60.0 points")
        for text in told
    )


def test_an_arm_below_the_base_is_no_winner(tmp_path):
    verdict, *others = said(study_of(tmp_path, base=[BEST[0]], sft=POOR))
    assert verdict == "On test no arm is better than base, accuracy 90.0 %."
    assert others[0].startswith("Significantly worse than base: sft −60.0 points")


def test_failed_runs_and_missing_seeds_are_said_and_the_others_are_compared(tmp_path):
    arms = ARMS | {"text": [GOOD[0], GOOD[1], None], "sft": [POOR[0], None, None], "paraphrases": [None] * 3}
    folder = study_of(tmp_path, **arms)
    found, problems = arms_of(folder)
    assert found.confirmation.by_questions and len(found.ranked_pairs) == 6
    assert [arm.seeds for arm in found.arms] == ["2 of 3", "1", "1 of 3", "1", "0 of 3"]
    told = said(folder)
    assert "text has a result with 2 of 3 seeds." in told
    assert "sft has a result with 1 of 3 seeds. The interval leaves out its seeds." in told
    assert "paraphrases has no run with a result, so nothing is said of it." in told
    assert len([problem for problem in problems if problem.endswith("failed: TrainingError: out of memory")]) == 6
    assert not any(text.startswith("More phrasings") for text in told)


def test_without_any_result_of_the_base_nothing_is_held_against_it(tmp_path):
    verdict, *others = said(study_of(tmp_path, **(ARMS | {"base": [None]})))
    assert verdict == "On test paraphrases has the best accuracy, 90.0 %; base has no result."
    assert not any("than base" in text for text in others)


def test_without_predictions_seeds_alone_are_compared_and_it_is_said(tmp_path):
    folder = study_of(tmp_path, **ARMS)
    (folder / "runs" / "text1" / "predictions" / "test.jsonl").unlink()
    told = said(folder)
    assert any(text.startswith("Not all runs have readable answers to the same questions") for text in told)
    assert arms_of(folder)[0].arms[0].examples is None


def test_examples_are_drawn_by_a_rule_that_nobody_can_choose(tmp_path):
    found, _ = arms_of(study_of(tmp_path, **ARMS))
    text = next(arm for arm in found.arms if arm.name == "text")
    gained, lost = text.examples["gained"], text.examples["lost"]
    assert (len(gained) == 3 and text.counts.by_kind["newly wrong"] == len(lost)) or len(lost) == 3
    ids = [one.question.id for one in gained]
    assert ids == sorted(ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert {(one.base, one.arm, one.right) for one in gained} == {("oak", "elm", "elm")}
    assert {(one.base, one.arm) for one in lost} <= {("elm", "oak")}


def test_the_study_s_page_and_report_md_have_it_all_and_markdown_shows_what_it_holds(tmp_path):
    folder = study_of(tmp_path, **ARMS)
    summary = write.write_report(folder)
    assert summary.verdict.startswith("On test paraphrases has the best accuracy")
    page, text = ((folder / name).read_text() for name in ("report.html", "report.md"))
    for heading in ("Arms on test", "All pairs", "Questions gained and lost", "Arms on dev, one seed each"):
        assert heading in page
    assert "Confirmed on test" not in page and page.count("<details><summary>paraphrases: ") == 1
    assert text.startswith("# finetune_or_retrieve\n\n**On test paraphrases ")
    assert "| base | 1 | 25.0 % |" in text and "| paraphrases – text | +1." in text
    assert "### text: " in text and "| Number " in text and "\n\n\n" not in text
    assert {"report.md", "report.html"} <= {path.name for path in summary.files}
    cell = markdown._escaped("a|b *c* <d> `e` \\")
    assert cell == "a\\|b \\*c\\* \\<d\\> \\`e\\` \\\\"


def test_a_study_without_new_seeds_or_arms_has_no_such_page(tmp_path):
    folder = study_of(tmp_path, **ARMS)
    (folder / "confirm.json").unlink()
    assert arms_of(folder)[0] is None
    write.write_report(folder)
    assert not (folder / "report.md").exists()


def test_what_trains_nothing_is_confirmed_with_one_seed(tmp_path):
    folder = study_of(tmp_path, **ARMS)
    for number, name in enumerate(("none", "none", "sft", "sft", "sft")):
        (folder / "trials" / str(number) / "config.yaml").write_text(yaml.safe_dump({"objective": {"name": name}}))
    planned = jobs(select_configurations(read_study(folder, NOW), []), 0, 3)
    seeds = {number: [job["seed"] for job in planned if job["trial"] == number] for number in range(5)}
    assert seeds == {0: [1], 1: [1], 2: [1, 2, 3], 3: [1, 2, 3], 4: [1, 2, 3]}
