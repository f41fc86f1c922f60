"""Excel files: the values that Excel shows, or an error."""

import sys
import zipfile
from datetime import datetime

import pytest
from openpyxl import Workbook

from mcqa.config.errors import DataError
from mcqa.data.formats import FileOptions, read_rows, spreadsheet

HEADER = ["question", "A", "B", "answer"]


def save(path, *sheets):
    book = Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet{number}")
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def read(path, **options):
    return list(read_rows(path, FileOptions(**options)))


def fails(path, **options):
    with pytest.raises(DataError) as error:
        read(path, **options)
    return str(error.value)


def by_excel(path, sheet, texts=""):
    """An Excel file of the parts that Excel writes, which openpyxl writes otherwise: shared texts, stored values."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    spreadsheetml = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{spreadsheetml}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType='
        f'"{spreadsheetml}.worksheet+xml"/><Override PartName="/xl/sharedStrings.xml" ContentType='
        f'"{spreadsheetml}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{office}"><sheets>'
        '<sheet name="Fragen" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet {space}><dimension ref="A1"/>'
        f"<sheetData>{sheet}</sheetData></worksheet>",
        "xl/sharedStrings.xml": f"<sst {space}>{texts}</sst>",
    }
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            if texts or "sharedStrings" not in name:
                file.writestr(name, content)
    return path


TEXTS = "<si><t>question</t></si><si><r><t>Two </t></r><r><t xml:space='preserve'>parts_x000D_</t></r></si>"


def test_rows_have_the_numbers_of_excel_and_values_their_types(tmp_path):
    path = save(tmp_path / "x.xlsx", [HEADER, ["What?", 3.0, 2.5, "A"], [], ["Who?", "a", True, 1], [None], [None] * 9])
    assert read(path) == [
        (f"{path}:2", {"question": "What?", "A": 3, "B": 2.5, "answer": "A"}),
        (f"{path}:4", {"question": "Who?", "A": "a", "B": True, "answer": 1}),
    ]
    ((_, row), *_) = read(path)
    assert isinstance(row, dict) and isinstance(row["A"], int)


def test_without_a_header_columns_are_numbers(tmp_path):
    path = save(tmp_path / "x.xlsx", [["What?", "a", "b", "A"], ["Who?", "c", "d"]])
    assert [row for _, row in read(path, header=False)] == [
        {"1": "What?", "2": "a", "3": "b", "4": "A"},
        {"1": "Who?", "2": "c", "3": "d", "4": None},
    ]


def test_the_stored_value_of_a_formula_and_shared_texts_are_read(tmp_path):
    sheet = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c></row><row r="3"><c r="A3" t="s"><v>1</v></c></row>'
        '<row r="4"><c r="A4"><f>1+1</f><v>2</v></c></row>'
    )
    path = by_excel(tmp_path / "x.xlsx", sheet, TEXTS)
    assert read(path) == [(f"{path}:3", {"question": "Two parts\r"}), (f"{path}:4", {"question": 2})]


def test_texts_that_are_missing_are_an_error(tmp_path):
    sheet = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    assert "cannot be read" in fails(by_excel(tmp_path / "x.xlsx", sheet))


def test_a_formula_without_a_stored_value_is_no_empty_cell(tmp_path):
    path = save(tmp_path / "x.xlsx", [HEADER, ["What?", "=1+1", "b", "A"], ["Who?", "a", "b", "A"]])
    (_, bad), (_, good) = read(path)
    assert "cell B2 is a formula whose value is not stored. Open the file in Excel" in str(bad)
    assert good["A"] == "a"


def test_dates_errors_and_formatted_numbers_are_no_text(tmp_path):
    book = Workbook()
    for row in (HEADER, [datetime(2024, 2, 1), "#N/A", 0.5, "A"]):
        book.active.append(row)
    book.active["C2"].number_format = "0%"
    book.save(tmp_path / "x.xlsx")
    ((_, row),) = read(tmp_path / "x.xlsx")
    assert row["question"] == datetime(2024, 2, 1)
    assert str(row["A"]) == "#N/A, the error of a formula" and str(row["B"]) == "0.5, shown in the format 0%"
    assert not isinstance(row["A"], str) and not isinstance(row["B"], (str, float))


def test_of_several_sheets_the_only_one_with_cells_is_read_and_else_the_one_that_is_named(tmp_path):
    rows = [HEADER, ["What?", "a", "b", "A"]]
    assert len(read(save(tmp_path / "x.xlsx", [], rows, []))) == 1
    path = save(tmp_path / "y.xlsx", [["notes"], ["of mine"]], rows)
    assert "has several sheets: 'Sheet1', 'Sheet2'. data.sheet says which one" in fails(path)
    assert len(read(path, sheet="Sheet2")) == 1
    assert "there is no sheet 'sheet2', only 'Sheet1', 'Sheet2' (data.sheet)" in fails(path, sheet="sheet2")


def test_an_empty_workbook_has_no_rows(tmp_path):
    assert read(save(tmp_path / "x.xlsx", [])) == []


def test_a_header_names_every_column_once_and_values_have_a_column(tmp_path):
    path = save(tmp_path / "x.xlsx", [["A", "A"], ["a", "b"]])
    assert f"{path}:1: the header names a column twice: 'A'. If this is a row" in fails(path)
    ((_, bad),) = read(save(tmp_path / "y.xlsx", [["A", None], ["a", "b"]]))
    assert str(bad) == "has 'b' in a column without a name."


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "x.xlsx", [HEADER])
    monkeypatch.setattr(spreadsheet, "MOST_BYTES", 1000)
    assert "more than 1000. Save the sheet as CSV." in fails(path)


def test_without_openpyxl_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    path = save(tmp_path / "x.xlsx", [HEADER])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert "pip install 'mcqa[xlsx]'" in fails(path)
