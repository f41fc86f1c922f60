"""Messages stay readable whatever they quote."""

from mcqa.config.errors import LONGEST_LINE, DataError, listing, shortened


def test_a_message_keeps_the_ends_of_a_long_line():
    message = str(DataError(f"x.jsonl:3: answer {'y' * 3_000_000!r} is none of the choices."))
    assert message.startswith("x.jsonl:3: answer 'yyy") and message.endswith("yyy' is none of the choices.")
    assert len(message) < LONGEST_LINE + 10 and " […] " in message


def test_a_short_message_is_as_it_was():
    message = "Größe 95 % „µ“ 😀:\n  - a\n"
    assert shortened(message) == message


def test_what_a_terminal_would_obey_or_cannot_show_is_escaped():
    assert str(DataError("a\x1b[2J\ud800\0\rb")) == r"a\x1b[2J\ud800\x00\rb"


def test_fifty_problems_are_listed_and_the_others_counted():
    lines = listing([f"key{n}: unknown key." for n in range(120)]).splitlines()
    assert lines[0] == "The configuration has 120 problems:"
    assert lines[1] == "  key0: unknown key." and lines[50] == "  key49: unknown key."
    assert lines[51:] == ["  … and 70 more"]
    assert len(listing(["x" * 3_000_000])) < 1100


def test_up_to_fifty_problems_are_all_listed():
    assert listing(["p"] * 50).count("\n") == 50 and "more" not in listing(["p"] * 50)
    assert listing(["p"]) == "The configuration has a problem:\n  p"
