"""Invalid XML of shops: repairable errors are read as intended, and others fail alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.sync.feeds.model import FeedError, Problem, Row
from service.sync.feeds.values.names import FieldNames
from service.sync.feeds.xml import rows as xml
from service.sync.feeds.xml.rows import xml_rows

# What is written, and what it means: outside of sections, and in CDATA where it differs.
MEANT = {
    "a": "a", "&": "&", "&amp;": "&", "&b=2": "&b=2", "&copy=3": "&copy=3", "&section;": "&section;", "&eacute;": "é",
    "&#233;": "é", "&#x2019;": "\u2019", "&#146;": "\u2019", "&#55357;&#56832;": "\U0001f600",
    "&#20013;&#25991;": "中文", "&#11;": " ", "&#;": "&#;", "&#12ab;": "&#12ab;", "&nope;": "&nope;", "< 5": "< 5",
    "<3": "<3", "<=": "<=", "]]>": "]]>", "x]]": "x]]", "&&": "&&", "é": "é", "&#99999999;": "\ufffd",
}  # fmt: skip
SECTIONS = {
    "<![CDATA[a & b <c> &amp; &x; ]> < 5]]>": "a & b <c> &amp; &x; ]> < 5", "<!-- & <3 <![CDATA[ -- ]]> -->": "",
    "<!--- & --->": "", "<?php & <3 ?>": "", "<![CDATA[]]>": "", "<![CDATA[x<![CDATA[y]]>": "x<![CDATA[y",
}  # fmt: skip
PIECES = {**MEANT, **{s: m for s, m in SECTIONS.items() if "---" not in s and " -- " not in s}}
HEAD = '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>\n'
TAIL = "</channel></rss>"


def item(number: int, more: str = "") -> str:
    return f"<item><g:id>{number}</g:id><g:image_link>https://s.example/{number}.jpg</g:image_link>{more}</item>\n"


def rows(text: str, size: int = 1 << 16) -> list[Row | Problem]:
    def blocks() -> Iterator[str]:
        for at in range(0, len(text), size):
            yield text[at : at + size]

    return list(xml_rows(blocks(), FieldNames()))


def ids(found: list[Row | Problem]) -> list[object]:
    return [r.fields["id"] if isinstance(r, Row) else (r.line, r.item_id) for r in found]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=8), st.integers(1, 90))
def test_text_is_read_as_it_was_meant_however_it_is_cut_into_blocks(pieces: list[str], size: int) -> None:
    written, meant = "|".join(pieces), "|".join(PIECES[p] for p in pieces).strip()
    found = rows(HEAD + item(1, f"<title>{written}</title>") + item(2) + TAIL, size)
    assert ids(found) == ["1", "2"]
    assert isinstance(found[0], Row)
    assert found[0].fields.get("title", "") == meant


@pytest.mark.parametrize("size", [1, 7, 1 << 16])
def test_links_with_unescaped_ampersands_are_whole_in_text_and_attributes(size: int) -> None:
    link = "https://a.example/p?a=1&b=2&copy=3&amp=4&lt=5&x;y"
    feed = f'<products><product><id>1</id><link>{link}</link><image url="{link}"/></product></products>'
    (row,) = rows(feed, size)
    assert isinstance(row, Row)
    assert (row.fields["link"], row.fields["image"]) == (link, link)


@pytest.mark.parametrize("size", [1, 50, 1 << 16])
@pytest.mark.parametrize(
    "damage",
    [
        "<title>a<br>b</title>", "<title>a</g:title>", "<title a=5>x</title>", '<title a="1" a="2">x</title>',
        "<title>a <b>b</title>", "<title>", '<title alt="a<b">x</title>', "</title>",
    ],
)  # fmt: skip
def test_an_item_that_is_not_well_formed_fails_alone_with_its_line(damage: str, size: int) -> None:
    feed = HEAD + item(1) + item(2, f"\n{damage}\n") + item(3) + item(4, damage) + item(5) + TAIL
    found = rows(feed, size)
    assert ids(found) == ["1", (3, "2"), "3", (7, "4"), "5"]
    assert [r.line for r in found] == [2, 3, 6, 7, 8]
    problem = found[1]
    assert isinstance(problem, Problem)
    assert any(problem.message.startswith(f"line {n}: ") for n in (4, 5))


def test_behind_a_damaged_item_prefixes_mean_what_they_did() -> None:
    feed = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:base="http://base.google.com/ns/1.0"><entry><base:id>1</x>'
        "</entry><entry><id>tag:2</id><base:id>2</base:id><base:title>é</base:title><title>no</title></entry></feed>"
    )
    _, row = rows(feed)
    assert isinstance(row, Row)
    assert (row.fields["id"], row.fields["title"]) == ("2", "é")


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        ("<item><g:id>3</g:id><title>a<br>", "FEED_TRUNCATED"), ("<item><g:id>3</x></channel></rss>", "FEED_DAMAGED"),
        ("</item>" + TAIL, "FEED_DAMAGED"), (TAIL + "<x/>", "FEED_DAMAGED"), (item(3, "<a></b>") , "FEED_TRUNCATED"),
    ],
)  # fmt: skip
def test_a_feed_that_does_not_end_well_is_never_taken_for_whole(rest: str, reason: str) -> None:
    with pytest.raises(FeedError) as caught:
        rows(HEAD + item(1) + item(2) + rest)
    assert caught.value.reason == reason


def test_very_many_damaged_items_are_a_damaged_feed_which_is_reported_with_the_line_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(xml, "_MAX_GIVEN_UP", 10)
    feed = HEAD + "".join(item(n, "<a>") for n in range(20)) + TAIL
    with pytest.raises(FeedError, match=r"line 12: mismatched tag; an XML validator"):
        rows(feed)


def test_html_in_a_text_is_read_as_text() -> None:
    feed = HEAD + item(1, "<title>Mug <b>blue</b><br/>and <i>white</i></title><g:price>5 <span>EUR</span></g:price>")
    (row,) = rows(feed + TAIL)
    assert isinstance(row, Row)
    assert (row.fields["title"], row.fields["price"]) == ("Mug blue and white", "5 EUR")


def test_pictures_in_elements_with_short_names_stay_several() -> None:
    (row,) = rows(
        "<products><product><id>1</id><images><i>https://a/1</i><i>https://a/2</i></images></product></products>"
    )
    assert isinstance(row, Row)
    assert row.fields["images"] == ["https://a/1", "https://a/2"]


@settings(max_examples=150)
@given(st.text("<>&\"'/!-?=abi ;#x5\n:", max_size=9), st.integers(0, 200), st.integers(0, 40), st.integers(1, 5))
def test_whatever_is_damaged_within_an_item_its_neighbours_are_what_they_were(
    damage: str, at: int, length: int, number: int
) -> None:
    written = [item(n, f"<title>Mug &amp; {n}</title><link>https://a/?a=1&amp;b={n}</link>") for n in range(1, 6)]
    inside = written[number - 1].removeprefix("<item>").removesuffix("</item>\n")
    at = at % len(inside)
    written[number - 1] = f"<item>{inside[:at]}{damage}{inside[at + length :]}</item>\n"
    try:
        found = rows(HEAD + "".join(written) + TAIL, 300)
    except FeedError:  # what was damaged is open to the end
        return
    whole = {r.line: r.fields for r in found if isinstance(r, Row)}
    for n in {1, 2, 3, 4, 5} - {number}:
        line = n + 1 + (damage.count("\n") if n > number else 0)
        assert whole[line] == {
            "id": f"{n}", "image_link": f"https://s.example/{n}.jpg", "title": f"Mug & {n}",
            "link": f"https://a/?a=1&b={n}",
        }  # fmt: skip
