"""Pages of HTML: whatever a name holds is shown and not obeyed, and a page needs nothing beside it."""

import base64
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaescope.pages import Html, escape, figure, muted, page, paragraph, section, strong, table

NASTY = "</td><script>alert('x')</script>&amp; \"a\" <b>"


class Reader(HTMLParser):
    """What a browser makes of a page: its tags, whether they close, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def test_every_piece_shows_markup_and_does_not_obey_it() -> None:
    body = section(NASTY, paragraph(NASTY), table([NASTY, "b"], [[NASTY], [NASTY, strong(NASTY)]], note=NASTY), NASTY)
    whole = page(NASTY, Html(body + figure(b"png", NASTY, NASTY) + muted(NASTY)), note=NASTY, footer=NASTY)
    read = Reader(whole)
    assert "script" not in read.tags
    assert not read.open
    assert read.text.count(NASTY) == 14
    assert ("alt", NASTY) in read.attributes


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_text_comes_back_and_html_is_not_escaped_again(text: str) -> None:
    assert Reader(paragraph(text)).text == text
    assert escape(escape(text)) == escape(text)


def test_a_page_loads_nothing_from_anywhere() -> None:
    whole = page("t", figure(b"abc", "c", "a"))
    assert not re.search(r"https?:|@import|url\(|<script|<link", whole)
    assert base64.b64encode(b"abc").decode() in whole
    assert "default-src 'none'" in whole
    assert "prefers-color-scheme: dark" in whole
    assert "@media print" in whole


def test_a_row_of_one_cell_stands_across_all_columns() -> None:
    read = Reader(table(["a", "b", "c"], [["Likelihood"], ["x", "1", "2"]], numbers=[1, 2]))
    assert ("colspan", "3") in read.attributes
    assert read.attributes.count(("class", "number")) == 4
    assert "colspan" not in table(["a"], [["x"]])


@pytest.mark.parametrize("piece", [section("t"), paragraph("t"), table(["a"], []), figure(b"", "", ""), strong("")])
def test_pieces_can_be_put_into_each_other(piece: Html) -> None:
    assert isinstance(piece, Html)
    assert piece in section("t", piece)
