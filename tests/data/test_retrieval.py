"""The passages before a question are the best by BM25, and depend on nothing that the answer decides."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mcqa.config.composition import compose
from mcqa.config.schema import Config
from mcqa.config.validation import typed
from mcqa.data import facts
from mcqa.data.loading import load_run_data
from mcqa.data.question import Question, fingerprint, in_drawn_order
from mcqa.data.retrieval import Bm25, add_passages, recall
from mcqa.data.words import questions_within, words

PASSAGES = ["Whales are mammals.", "Trouts are fish.", "Whales eat krill, and whales sing.", "Nothing more."]


def question(id="q", text="What do whales eat?", **changes):
    return Question(**({"id": id, "question": text, "choices": ("krill", "trouts", "mammals"), "answer": 0} | changes))


def retrieved(splits, passages, tmp_path, k=2, parts=None):
    """What becomes of the splits; with notes, warnings and metrics."""
    file = tmp_path / "passages.txt"
    file.write_text("\n".join(passages))
    evaluation = SimpleNamespace(context="bm25", passages=str(file), context_k=k)
    notes, warnings = [], []
    metrics = add_passages(evaluation, splits, parts or {}, notes, warnings)
    return metrics, notes, warnings


def bm25(query, passages, k1=1.5, b=0.75):
    """The formula of Lucene: idf * tf / (tf + k1 (1 - b + b length / mean length)), a sum over the query's words."""
    told = [words(passage) for passage in passages]
    mean = sum(map(len, told)) / len(told)

    def of(word, passage):
        having = sum(word in other for other in told)
        idf = math.log(1 + (len(told) - having + 0.5) / (having + 0.5))
        tf = passage.count(word)
        return idf * tf / (tf + k1 * (1 - b + b * len(passage) / mean))

    return [sum(of(word, passage) for word in words(query)) for passage in told]


# --- the search ------------------------------------------------------------------------------------------------------


def test_the_order_is_that_of_the_formula():
    passages = list(dict.fromkeys(facts.statements()))[::25]
    index = Bm25(passages)
    for asked in facts.questions("test")[::40]:
        best = index.best(asked.question, 5)
        scores = dict(zip(passages, bm25(asked.question, passages), strict=True))
        values = [scores[passage] for passage in best]
        assert values == pytest.approx(sorted(scores.values(), reverse=True)[: len(best)], rel=1e-4)


def test_of_equal_passages_the_first_is_taken_and_none_that_shares_no_word():
    index = Bm25(["Krill swim.", "Krill sink.", "Krill rest.", "Other words."])
    assert index.best("What do KRILL eat?", 2) == ("Krill swim.", "Krill sink.")
    assert index.best("krill", 4) == ("Krill swim.", "Krill sink.", "Krill rest.")
    assert index.best("Wale?", 2) == index.best("?!", 2) == ()


def test_a_collection_may_hold_passages_without_words():
    assert Bm25(["!?", "Whales sing."]).best("whales", 3) == ("Whales sing.",)
    assert Bm25(["!?"]).best("whales", 3) == ()


# --- the questions ---------------------------------------------------------------------------------------------------


def test_dev_test_and_sets_get_passages_and_train_gets_none(tmp_path):
    splits = {name: [question()] for name in ("train", "dev", "test", "mine")}
    parts = {"test": {"mine": {"q": question()}}}
    splits["test"] = [question("mine/q")]
    retrieved(splits, PASSAGES, tmp_path, parts=parts)
    assert splits["train"][0].retrieved == ()
    best = (PASSAGES[2], PASSAGES[0])
    assert [splits[name][0].retrieved for name in ("dev", "test", "mine")] == [best] * 3
    assert parts["test"]["mine"]["q"].retrieved == best


def test_the_answer_and_the_choices_change_nothing(tmp_path):
    asked = [
        question(),
        question(answer=2),
        in_drawn_order(question(), 1),
        question(choices=("Nothing more", "trouts")),
    ]
    splits = {"test": [replace(one, id=str(number)) for number, one in enumerate(asked)]}
    retrieved(splits, PASSAGES, tmp_path)
    assert len({one.retrieved for one in splits["test"]}) == 1


def test_a_passage_of_its_own_is_searched_for_too_and_stands_after_the_retrieved(tmp_path):
    splits = {"test": [question(text="What are they?", context="Here are trouts.")]}
    retrieved(splits, PASSAGES, tmp_path)
    assert splits["test"][0].retrieved[0] == "Trouts are fish."
    assert splits["test"][0].shown_context == "Whales are mammals.\nTrouts are fish.\nHere are trouts."


def test_it_stays_the_same_question(tmp_path):
    splits = {"test": [question()]}
    before = fingerprint(splits["test"])
    retrieved(splits, PASSAGES, tmp_path)
    assert fingerprint(splits["test"]) == before


# --- what is said of it ----------------------------------------------------------------------------------------------


def test_recall_is_of_whole_words_for_the_right_choice_and_for_wrong_ones():
    told = question(retrieved=("Whales eat KRILL, and trouts.", "A mammalsome word."))
    assert recall([told]) == (1.0, 0.5)
    assert recall([told, question(choices=("...", "krill", "fish"))]) == (0.5, 0.25)


def test_questions_in_the_passages_are_counted_where_they_are_long_enough():
    passages = ["Q: what do whales, eat? Krill.", "What do whales eat, often", "who sings"]
    asked = [question("a"), question("b", "Who sings?"), question("c", "What do whales eat often, and why?")]
    assert questions_within(passages, asked) == 1


def test_metrics_notes_and_the_warning(tmp_path):
    splits = {"test": [question("a"), question("b", "Wale?")]}
    metrics, notes, warnings = retrieved(splits, [*PASSAGES, "What do whales eat? Plankton."], tmp_path)
    assert metrics == {
        "test/recall_at_k": 0.5,
        "test/recall_at_k_wrong": 0.0,
        "test/questions_in_passages": 1.0,
    }
    assert notes[0].startswith("before each question up to 2 of 5 passages of ")
    assert "text for 50.0 % of 2 questions (recall@2), and a wrong choice's for 0.0 %" in notes[1]
    assert "1 of 2 questions share no word with any passage" in notes[2]
    assert "test: the passages contain the text of 1 of 2 questions" in warnings[0]


def test_a_run_reads_the_same_questions_with_and_without():
    keys = ["data=facts", "evaluation.test_limit=20"]
    without, given = (
        typed(compose("config", [*keys, *more]), Config)
        for more in ([], ["evaluation.context=bm25", "evaluation.passages=facts", "evaluation.context_k=2"])
    )
    plain, told = (load_run_data(one.data, one.evaluation) for one in (without, given))
    for split in ("train", "dev", "test"):
        assert fingerprint(told.splits[split]) == fingerprint(plain.splits[split])
    assert {len(one.retrieved) for one in told.splits["test"]} == {2}
    assert told.retrieval["test/recall_at_k"] > told.retrieval["test/recall_at_k_wrong"]
    assert not plain.retrieval
