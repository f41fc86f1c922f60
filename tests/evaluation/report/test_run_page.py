"""run.html shows what a run folder has, whatever that is, and loads nothing from anywhere."""

import re
import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser

import pytest

from mcqa.config.composition import compose
from mcqa.data.question import Question
from mcqa.evaluation import predictions
from mcqa.evaluation.metrics import compute_metrics
from mcqa.evaluation.predictions import Prediction
from mcqa.evaluation.report import run_page
from mcqa.runs.files import read_json, write_json, write_yaml
from mcqa.runs.tracking.spool import Spool

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OVERRIDES = ["+experiment=lora_mcqa", "optimizer.learning_rate=0.004", "seed=3"]


composed = cache(lambda kind, overrides: compose(kind, list(overrides)))


def answered(right, text="Which?", subjects=("law", "art"), n=20):
    """Questions of which the first `right` are answered right, all with three choices."""
    rows = []
    for i in range(n):
        question = Question(f"q{i}", f"{text} {i}", ("Lima", "Quito <b>", f"Oslo {i}"), 0, subject=subjects[i % 2])
        scores = (-0.1, -2.0, -3.0) if i < right else (-2.0, -0.1 - i / 100, -3.0)
        rows.append(Prediction(question, scores, (1, 1, 1)))
    return rows


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Write a run folder with these predictions, and return its path."""
    monkeypatch.chdir(tmp_path)

    def folder_of(measured, kind="config", overrides=OVERRIDES, curves=True, charts=False, **result):
        if not charts:  # which take a second
            monkeypatch.setattr(run_page, "_figures", lambda run: iter(()))
        folder = tmp_path / "outputs" / "runs" / "lora_mcqa" / "20261129-205623-f4bcee"
        folder.mkdir(parents=True)
        write_yaml(folder / "config.yaml", composed(kind, tuple(overrides)))
        write_yaml(folder / "overrides.yaml", overrides)
        write_json(folder / "environment.json", {"git_commit": "abc123", "packages": {"torch": "2.13"}})
        metrics = {}
        for name, rows in measured.items():
            predictions.write(folder / "predictions" / f"{name.replace('/', '_')}.jsonl", rows)
            metrics |= {f"{name}/{metric}": value for metric, value in compute_metrics(rows, "auto").items()}
        spool = Spool(folder)
        for step in (1, 2, 3) if curves else ():
            values = {"train/loss": 3.0 / step, "learning_rate": 1e-3, "grad_norm": 1.0, "dev/acc": 0.3 * step}
            spool.append("metrics", step=step, values=values, of="training")
        write_json(folder / "result.json", {"status": "complete", "metrics": metrics, "seconds": 75.0} | result)
        return folder

    return folder_of


@pytest.fixture
def trained(make):
    return make(
        {"base/test": answered(6), "test": answered(17), "base/dev": answered(5), "dev": answered(15)}, charts=True
    )


def drawn(folder):
    return run_page.redraw(folder).read_text("utf-8")


class Text(HTMLParser):
    """The words of a page without its style sheet and script, and the addresses that it has."""

    def __init__(self, page):
        super().__init__()
        self.words, self.hidden, self.addresses = [], False, []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.hidden = tag in ("style", "script")
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)

    def __str__(self):
        return " ".join(" ".join(self.words).split())


def test_the_page_has_result_curves_and_what_to_do_next(trained):
    page = drawn(trained)
    text = str(Text(page))
    assert "The fine-tuned model is significantly better than the base (+55.0 points" in text
    assert "lora_mcqa · starter · facts · lora · 1 min 15 s · 20261129-205623-f4bcee" in text
    assert "fine-tuned on test 85.0 %" in text and "The dotted line is guessing, 33.3 %" in text
    for heading in ("Accuracy on dev", "Loss of the", "Learning rate", "Gradient norm", "Reliability on test"):
        assert heading in text
    assert "Answered wrong on test 3 of 20 questions" in text and "3 always wrong" in text
    place = "outputs/runs/lora_mcqa/20261129-205623-f4bcee"
    for command in (f"compare {place}", f"ask {place} wrong=test", f"export {place}", f"evaluate run={place}"):
        assert f"python -m mcqa.{command}" in text
    assert f"from_run={place} seed=4,5" in text


def test_the_questions_answered_wrong_have_both_models_probabilities(make):
    page = drawn(make({"base/test": answered(20), "test": answered(17)}))
    text = str(Text(page))
    assert "3 newly wrong" in text and page.count('<details class="q"') == 3
    assert "✓ Lima 83.0 % 14.3 %" in text and 'class="n picked">83.0 %' in page
    assert "<b>" in str(Text(page)) and "Quito &lt;b&gt;" in page


def test_what_differs_from_a_run_without_options_is_listed_and_nothing_else(make):
    folder = make({"test": answered(17)})
    settings = run_page._settings(run_page.RunFolder(folder, {}))
    assert {"optimizer.learning_rate", "seed", "name"} <= {key for key, *_ in settings}
    assert ["optimizer.learning_rate", "0.004", "0.002"] in settings and ["seed", "3", "0"] in settings
    assert not any(key.startswith(("model.", "data.", "outputs")) for key, *_ in settings)
    assert "python -m mcqa.train +experiment=lora_mcqa optimizer.learning_rate=0.004 seed=3" in str(Text(drawn(folder)))


def test_subjects_have_the_base_beside_them_the_worst_first(make):
    folder = make({"base/test": answered(6), "test": answered(17)})
    rows = run_page._subjects(run_page.RunFolder(folder, read_json(folder / "result.json")), "test")
    assert [(row.name, row.questions, row.base, row.acc) for row in rows] == [
        ("art", 10, 0.3, 0.8),
        ("law", 10, 0.3, 0.9),
    ]
    assert "Accuracy by subject, test" in drawn(folder)


def test_findings_of_the_doctor_are_shown_with_what_to_try(make):
    folder = make({"test": answered(17)})
    finding = {"name": "plateau", "severity": "hint", "evidence": "loss 1.2 for 50 updates", "meaning": "It stands."}
    write_json(folder / "doctor.json", [finding | {"override": "optimizer.learning_rate=1e-3"}])
    assert "hint plateau loss 1.2 for 50 updates It stands. Try optimizer.learning_rate=1e-3" in str(
        Text(drawn(folder))
    )
    (folder / "doctor.json").write_text("{")
    assert "From the run's log" not in drawn(folder)


def test_an_evaluation_has_a_page_without_curves_and_base(make):
    folder = make({"dev": answered(5), "test": answered(17)}, "evaluate", ["data=facts"], False, True)
    text = str(Text(drawn(folder)))
    assert "85.0 % right on test (95 % interval" in text and "right on dev" in text
    assert "Gradient norm" not in text and "fine-tuned" not in text and "base" not in text.split("Next")[0].lower()
    assert "python -m mcqa.evaluate data=facts" in text


def test_several_sets_without_test_are_judged_each_by_itself(make):
    measured = {f"{base}{name}": answered(right) for base, right in (("base/", 6), ("", 17)) for name in ("one", "two")}
    text = str(Text(drawn(make(measured))))
    assert "one: The fine-tuned model is significantly better" in text and "two: The fine-tuned model" in text
    assert "Each set is tested by itself; p-values are not adjusted for their number." in text


def test_a_run_that_measured_no_question_has_the_loss_of_its_conversations(make):
    folder = make({})
    values = {"loss": 2.0, "perplexity": 7.39, "n": 40}
    metrics = {f"{base}test/{key}": value for base in ("base/", "") for key, value in values.items()}
    write_json(folder / "result.json", {"status": "complete", "metrics": metrics})
    assert "Loss 2.000 (base on test); Loss 2.000 (fine-tuned on test)" in str(Text(drawn(folder)))
    write_json(folder / "result.json", {"status": "failed", "metrics": {}})
    assert "Nothing was measured" in drawn(folder)


def test_a_first_look_and_warnings_are_above_everything_else(make):
    look = {"test": {"questions": 20, "of": 500}}
    folder = make({"base/test": answered(6), "test": answered(17)}, first_look=look, warnings=["test is easy"])
    text = str(Text(drawn(folder)))
    assert "A first look: 20 of 500 test questions" in text and "test is easy" in text


def test_of_very_many_wrong_answers_the_surest_are_listed(make, monkeypatch):
    monkeypatch.setattr(run_page, "MOST_LISTED", 5)
    page = drawn(make({"base/test": answered(0), "test": answered(0)}))
    assert page.count('<details class="q"') == 5 and "Listed are the 5 surest; wrong_test.json has all." in page


def test_a_score_that_is_not_a_number_is_a_dash(make):
    rows = answered(19)
    rows[19] = Prediction(rows[19].question, (float("nan"), -1.0, -1.0), (1, 1, 1))
    text = str(Text(drawn(make({"base/test": answered(19), "test": rows}))))
    assert "no score" in text and "–" in text


def test_no_secret_is_on_the_page(make):
    overrides = [*OVERRIDES, "++objective.trainer_args.hub_token=hf_AbcDefGhiJklMnoPqrStu12"]
    assert "hf_AbcDef" not in drawn(make({"base/test": answered(6), "test": answered(17)}, overrides=overrides))


def test_nothing_is_loaded_from_anywhere(trained):
    page = drawn(trained)
    assert not re.search(r"https?://(?!www\.w3\.org/)|@import|url\((?!#)", page)
    addresses = Text(page).addresses
    assert all(address.startswith("#") or (trained / address).exists() for address in addresses)
    assert len(page) < 400_000


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_in_a_browser_the_search_works_and_nothing_is_wrong(make):
    """The page searches for a question itself, and Chromium prints what it looks like then."""
    page = run_page.redraw(make({"base/test": answered(6), "test": answered(9)}, charts=True))
    search = """<script>
      const field = document.querySelector(".text-filter");
      field.value = "oslo 12"; field.dispatchEvent(new Event("input"));
    </script></body>"""
    script = '<script>addEventListener("error", e => document.body.dataset.wrong = e.message)</script></head>'
    page.write_text(page.read_text("utf-8").replace("</body>", search).replace("</head>", script), "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND"]
    ended = subprocess.run([CHROMIUM, *options, page.as_uri()], capture_output=True, text=True, timeout=60)
    dom = ended.stdout
    assert "1 shown" in dom and "data-wrong" not in dom
    shown = [tag for tag in re.findall(r'<details class="q"[^>]*>', dom) if "hidden" not in tag]
    assert len(shown) == 1 and dom.count('<details class="q"') == 11
