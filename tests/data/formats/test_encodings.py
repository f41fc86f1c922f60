"""An encoding is taken where all that may be meant read the same text."""

import pytest

from mcqa.config.errors import DataError
from mcqa.data.formats import FileOptions, read_rows
from mcqa.data.formats.encodings import non_ascii_words, only_encoding

GERMAN = "Größe: was ist für Köln üblich? „ja“ – 5 €"
POLISH = "Gdzie leży żółta gęś i źrebię na świecie?"
FRENCH = "À quelle heure êtes-vous allé à l’école très tôt ?"
SPANISH = "¿Dónde está el niño más grande de España?"
RUSSIAN = "Какая столица России самая большая?"
ENGLISH = "Which of these can’t fly? “it’s” an eagle – isn’t"


def encoding_of(text, encoding):
    return only_encoding(set(non_ascii_words(text.encode(encoding))))


@pytest.mark.parametrize(
    ("text", "written", "found"),
    [
        (GERMAN, "cp1252", "cp1252"),
        (GERMAN.replace("€", "").replace("„ja“ –", ""), "latin-1", "cp1252"),
        ("Größe", "cp1252", "cp1252"),
        (POLISH, "cp1250", "cp1250"),
        (ENGLISH, "cp1252", "cp1252"),
    ],
)
def test_an_encoding_is_found_where_the_usual_ones_read_the_same(text, written, found):
    assert encoding_of(text, written) == found
    assert text.encode(written).decode(found) == text


@pytest.mark.parametrize(
    ("text", "written", "told"),
    [
        (FRENCH, "cp1252", "a word is 'À' (cp1252), 'Ŕ' (cp1250)"),
        (SPANISH, "cp1252", "'¿Dónde' (cp1252), 'żDónde' (cp1250)"),
        (RUSSIAN, "cp1251", "'Какая' (cp1251)"),
        ("日本の首都はどこですか", "cp932", "'日本の首都はどこですか' (cp932)"),
        ("can’t", "cp1252", "'can’t' (cp1252)"),
        (GERMAN.replace("€", "").replace("„ja“ –", ""), "mac_roman", "'Größe:' (mac_roman)"),
        ("5×3÷2±1", "cp1252", "'5×3÷2±1' (cp1252)"),
        ("20 °C", "cp1252", "'°C' (cp1252), '∞C' (mac_roman)"),
        ("voilà là à déjà", "cp850", "in doubt"),
        ("Die Räuber?;Schiller;A", "cp1252", "a word is 'Räuber?' (cp1252), 'Rõuber?' (cp850)"),
    ],
)
def test_an_encoding_in_doubt_is_asked_for_with_a_word_that_differs(text, written, told):
    with pytest.raises(DataError, match="data.encoding=<name> says which one it is") as error:
        encoding_of(text, written)
    assert told in str(error.value)


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.json"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le", "mac_roman"])
def test_a_given_encoding_is_used_in_every_text_format(tmp_path, name, encoding):
    text = f"question,A\n{FRENCH},a\n" if name == "x.csv" else f'{{"question": "{FRENCH}", "A": "a"}}\n'
    (tmp_path / name).write_bytes((f"[{text}]" if name == "x.json" else text).encode(encoding))
    told = []
    ((_, row),) = read_rows(tmp_path / name, FileOptions(encoding=encoding), told)
    assert row == {"question": FRENCH, "A": "a"} and told == []


def test_a_byte_that_a_given_encoding_does_not_have_is_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"a\n\x81\nfine\n")
    (_, bad), (_, fine) = read_rows(path, FileOptions(encoding="cp1252"))
    assert str(bad) == "byte 0x81 is not cp1252. Is data.encoding right?" and fine == {"a": "fine"}


def test_in_a_file_that_is_utf_8_other_bytes_are_damage(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes("q\nGröße\n".encode() + "Größe\n".encode("cp1252"))
    (_, good), (_, bad) = read_rows(path)
    assert good == {"q": "Größe"} and "byte 0xf6 is not UTF-8" in str(bad)
