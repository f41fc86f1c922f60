"""The frame and the macros that all HTML reports share."""

import jinja2
import pytest

from mcqa.evaluation.report.html import Scale, render

PAGE = """{% extends "base.html" %}
{% import "macros.html" as macros %}
{% block content %}
{% call macros.section(name) %}{{ macros.table([("", "label"), ("points", "n"), ("", "bar")], rows) }}{% endcall %}
{{ macros.interval_bar(scale, 0.5, 0.25, 0.75, mark=1.0) }}
{% endblock %}
{% block footer %}end{% endblock %}
"""


def rendered(tmp_path, **changes):
    (tmp_path / "page.html").write_text(PAGE)
    values = {"title": "t", "subject": "s", "verdict": "v", "remarks": ["r"], "name": "n", "rows": []} | changes
    return render(tmp_path / "page.html", scale=Scale(0.0, 1.0), **values)


def test_a_page_has_frame_style_sheet_and_remarks(tmp_path):
    text = rendered(tmp_path, title="a title", verdict="a verdict", remarks=["one", "two"])
    assert text.startswith("<!DOCTYPE html>") and text.rstrip().endswith("</html>")
    assert "<title>a title</title>" in text and "<h1>a verdict</h1>" in text
    assert "<li>one</li><li>two</li>" in text
    assert ":root {" in text


def test_values_are_escaped_wherever_they_stand(tmp_path):
    evil = "<b>\"'&"
    text = rendered(
        tmp_path, title=evil, subject=evil, verdict=evil, remarks=[evil], name=evil, rows=[[evil, evil, evil]]
    )
    assert evil not in text and text.count("&lt;b&gt;&#34;&#39;&amp;") == 8


def test_cells_have_the_kind_of_their_column(tmp_path):
    text = rendered(tmp_path, rows=[["base", "1.0", ""]])
    assert '<td class="label">base</td><td class="n">1.0</td><td class="bar"></td>' in text
    assert '<th></th><th class="n">points</th><th class="bar"></th>' in text


def test_an_interval_is_drawn_to_scale(tmp_path):
    text = rendered(tmp_path)
    assert '<span class="ci" style="left:25.00%;width:50.00%">' in text
    assert '<span class="dot" style="left:50.00%">' in text and '<span class="at" style="left:100.00%">' in text


def test_a_scale_of_a_single_value_has_no_width():
    assert Scale(0.5, 0.5).position(0.5) == "0.00%"


def test_a_value_that_is_missing_is_an_error_and_no_gap(tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render(tmp_path / "page.html")
