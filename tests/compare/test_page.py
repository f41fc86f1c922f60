"""The page: complete in one file, nothing of the data taken for HTML, and never too large."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mcqa.compare import page, sentences
from mcqa.compare.charts import draw_charts
from mcqa.compare.options import METRICS
from tests.compare.finished_runs import answered, compared, make_run, predicted, question

VOID = {"meta", "input", "br", "img"}
EVIL = """<script>alert('x')</script></details>"'&amp; $x^2$ ${a} %s \x07\u2028 漢字"""


class Tags(HTMLParser):
    """Counts elements and texts; every element that is opened must be closed in turn."""

    def __init__(self, text):
        super().__init__()
        self.count, self.open, self.texts, self.values = Counter(), [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.count[tag] += 1
        self.values += [value for _, value in attrs if value]
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not (self.open and self.open[-1] == tag) and tag in ("option",):
            return
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            assert tag not in self.open, f"{tag} is closed over {self.open[-1]}"

    def handle_data(self, data):
        self.texts.append(data)


def two(tmp_path, before, after, **changes):
    one = make_run(tmp_path, "a", before, peft__rank=1, **changes)
    return compared(one, make_run(tmp_path, "b", after, peft__rank=2))


def drawn(comparison):
    return page.render_page(comparison, draw_charts(comparison))


def test_the_page_is_complete_and_says_the_verdict_once_on_top(tmp_path):
    found = two(tmp_path, [False] * 30 + [True] * 10, [True] * 40)
    text = drawn(found)
    tags = Tags(text)
    assert tags.count["h1"] == 1 and sentences.verdict(found) in tags.texts
    assert tags.count["svg"] == tags.count["figure"] == 6  # no subjects here
    assert tags.count["details"] == 30
    assert all(section in tags.texts for section in ("Configurations", "Differences", "What differs", "Runs"))
    assert "peft.rank" in tags.texts


def test_nothing_is_loaded_from_anywhere(tmp_path):
    text = drawn(two(tmp_path, [False, True], [True, False]))
    for outside in ("src=", "@import", "<link", "url(http", "fetch("):
        assert outside not in text
    assert text.replace("http://www.w3.org/", "").count("http") == 0


def test_what_comes_from_data_stays_text(tmp_path):
    texts = {"question": EVIL, "choices": (EVIL + "1", EVIL + "2"), "subject": EVIL, "context": EVIL}
    before, after = ([predicted(right, question(i, id=f"{EVIL}{i}", **texts)) for i in range(4)] for right in (0, 1))
    found = two(tmp_path, before, after, **{f"data__{EVIL}": EVIL, "name": EVIL})
    text = drawn(found)
    tags = Tags(text)
    assert tags.count["script"] == 1  # the page's own
    assert "<script>alert" not in text
    assert sum(EVIL in value for value in tags.values) == 4  # the subject of each question
    assert any(EVIL in one for one in tags.texts)


def test_a_long_list_is_cut_and_says_so(tmp_path):
    count = page.MOST_LISTED * 3
    found = two(tmp_path, [False] * count, [True] * (2 * count // 3) + [False] * (count // 3))
    tags = Tags(drawn(found))
    assert tags.count["details"] == page.MOST_LISTED
    assert any(
        "Listed are the 540 most confident of 1200 newly right, the 60 most confident of 600 always wrong" in one
        for one in tags.texts
    )


def test_rare_mistakes_are_listed_beside_many_gains(tmp_path):
    count = page.MOST_LISTED * 2
    found = two(tmp_path, [False] * count + [True] * 9, [True] * count + [False] * 9)
    assert Counter(page_kinds(drawn(found))) == {"newly right": page.MOST_LISTED - 9, "newly wrong": 9}


def page_kinds(text):
    return [line.partition('"')[0] for line in text.split('data-kind="')[1:]]


def test_fourteen_thousand_questions_stay_a_page(tmp_path):
    texts = {"question": "words " * 50, "context": "passage " * 100}
    right = [number % 3 == 0 for number in range(14_000)]
    before, after = answered(right, **texts), answered(right[1:] + right[:1], **texts)
    assert len(drawn(two(tmp_path, before, after))) < 3_000_000


def test_every_question_of_a_flip_shows_the_right_choice_and_both_answers(tmp_path):
    tags = Tags(drawn(two(tmp_path, [False], [True])))
    assert "elm" in tags.texts and "✓" in tags.texts
    assert [text for text in tags.texts if text.startswith("← ")] == ["← rank=1", "← rank=2"]


def captions(texts):
    return " | ".join(texts)


def test_pictures_of_one_run_say_which_run_and_which_scores(tmp_path):
    one = captions(Tags(drawn(two(tmp_path, [False, True], [True, True]))).texts)
    assert "a question that crosses an axis flips" in one
    assert one.count("by acc (summed scores)") == 3 and "first seed" not in one
    runs = [make_run(tmp_path, f"s{seed}", [True, bool(seed)], base=[False, True], seed=seed) for seed in (0, 1)]
    several = captions(Tags(drawn(compared(*runs, metric="acc_norm"))).texts)
    assert several.count("by acc (summed scores), of the first seed") == 3
    assert "crosses an axis" not in several and "mean margins over seeds" in several


def test_over_seeds_the_picture_of_subjects_has_the_net_with_a_decimal(tmp_path):
    runs = [
        make_run(tmp_path, f"s{seed}", answered([True, bool(seed)], subject="law"), base=[], seed=seed)
        for seed in (0, 1)
    ]
    base = answered([False, False], subject="law")
    other = [make_run(tmp_path, f"b{seed}", base, seed=seed, peft__rank=2) for seed in (0, 1)]
    texts = Tags(drawn(compared(*other, *runs))).texts
    assert texts.count("+1.5") == 1 and "gained" in texts
    assert "Net over seeds: +1.5 questions. The majority of seeds decides the kind." in texts


@pytest.mark.parametrize("counts", [(1, 1), (2, 2), (1, 2)])
def test_single_runs_and_seeds_show_the_columns_that_they_have(tmp_path, counts):
    runs = [
        make_run(tmp_path, f"r{side}{seed}", [True, False, bool(seed)], seed=seed, peft__rank=side)
        for side, seeds in enumerate(counts)
        for seed in range(seeds)
    ]
    texts = Tags(drawn(compared(*runs))).texts
    assert ("McNemar p" in texts) == (counts == (1, 1))
    assert ("SE (seeds)" in texts) == (counts != (1, 1))


def test_pictures_have_the_pages_colours_and_ids_of_their_own(tmp_path):
    text = drawn(two(tmp_path, answered([False, True], subject="x"), answered([True, True], subject="x")))
    assert text.count("<figure>") == 7
    ids = [line.partition('"')[0] for line in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert "#0072b2" in text  # in the style sheet
    assert text.count("#0072b2") == 1


def test_every_metric_has_its_sentence_under_how_this_was_computed():
    text = (Path(page.__file__).parent / "methods.html").read_text()
    table = text[text.index("{% set metrics = {") : text.index("} %}")]
    assert {*re.findall(r'^"(\w+)": ', table, re.MULTILINE)} == {*METRICS}


def test_captions_speak_of_seeds_only_where_there_are_several_and_name_the_pair(tmp_path):
    rows = [predicted(i % 3 > 0, question(i, subject="ab"[i % 2])) for i in range(12)]
    flipped = [predicted(i % 4 > 0, question(i, subject="ab"[i % 2])) for i in range(12)]

    def captions(*seeds):
        runs = [make_run(tmp_path, f"a{len(seeds)}{seed}", rows, seed=seed, peft__rank=1) for seed in seeds]
        runs += [make_run(tmp_path, f"b{len(seeds)}{seed}", flipped, seed=seed, peft__rank=2) for seed in seeds]
        found = compared(*runs)
        return [page._caption(name, found) for name in ("accuracy", "subjects")]

    assert captions(0) == [
        ("Accuracy", "with 95 % interval; dotted: guessing"),
        ("Flips by subject", "2 vs 1, and net change"),
    ]
    assert captions(0, 1)[0][1].endswith("; strokes: single seeds")
