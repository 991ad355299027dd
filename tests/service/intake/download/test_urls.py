"""A legal URL reaches its host unchanged."""

from urllib.parse import quote, urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import Reason, ServiceError
from service.intake.download.urls import MAX_URL_LENGTH, check_host_pattern, parse_link

LEGAL = "ABCxyz019-._~!$&'()*+,;=:@/?"
legal_pieces = st.one_of(
    st.text(LEGAL, min_size=1, max_size=8),
    st.integers(0, 255).map(lambda n: f"%{n:02X}"),
    st.integers(0, 255).map(lambda n: f"%{n:02x}"),
)
legal_targets = st.lists(legal_pieces, max_size=12).map(lambda pieces: "/" + "".join(pieces))
SIGNED = "/p%2F1.jpg?X-Amz-Credential=AK%2F20260101%2Feu%3As3&X-Amz-Date=%40x&a=%27b%27%2Cc&Signature=a%2fb~c+d%20e"


@given(legal_targets)
@example(SIGNED)
@example("/a/../b/./c//d;v=1?q=a?b/c&&x=&=y")
@example("/image/fetch/w_100,h_100/https://other.example/a,b.jpg?x=https%3A%2F%2Fy")
def test_what_is_legal_stays_byte_by_byte(target: str) -> None:
    link = parse_link(f"https://shop.example{target}")
    assert link.target == target.encode()
    assert parse_link(link.text) == link


@given(st.text(st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc"], exclude_characters="\\#"), max_size=40))
def test_what_is_not_legal_is_encoded_once_and_nothing_else_is(text: str) -> None:
    link = parse_link(f"https://shop.example/{text}")
    assert link.target.isascii()
    again = parse_link(link.text)
    assert again.target == link.target
    if "%" not in text:
        assert link.target.decode() == "/" + quote(text, safe=LEGAL)


@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        ("/a b.jpg", "/a%20b.jpg"), ("/ä.jpg?q=ü ß", "/%C3%A4.jpg?q=%C3%BC%20%C3%9F"), ("/100%.jpg", "/100%25.jpg"),
        ("/100%zz%2", "/100%25zz%252"), ("/a%20b c", "/a%20b%20c"),
        ("/x|y[0]{1}^`\"<>", "/x%7Cy%5B0%5D%7B1%7D%5E%60%22%3C%3E"),
        ("", "/"), ("?a=1", "/?a=1"), ("/a#part", "/a"), ("#part", "/"), ("/a?b#c?d", "/a?b"), ("/😀", "/%F0%9F%98%80"),
        ("/a?file=C:\\x", "/a?file=C:%5Cx"), ("/\u00a0x", "/%C2%A0x"), ("/a?", "/a?"),
    ],
)  # fmt: skip
def test_only_what_must_be_is_encoded(given_: str, sent: str) -> None:
    assert parse_link(f"  https://shop.example{given_} ").target == sent.encode()


@pytest.mark.parametrize(
    ("url", "host", "port", "authority"),
    [
        ("https://Bücher.example/", "xn--bcher-kva.example", 443, "xn--bcher-kva.example"),
        ("https://faß.example/", "xn--fa-hia.example", 443, "xn--fa-hia.example"),
        ("https://日本語。example/", "xn--wgv71a119e.example", 443, "xn--wgv71a119e.example"),
        ("https://XN--BCHER-KVA.example/", "xn--bcher-kva.example", 443, "xn--bcher-kva.example"),
        ("HTTPS://Shop.Example:443/", "shop.example", 443, "shop.example"),
        ("http://shop.example:8080/", "shop.example", 8080, "shop.example:8080"),
        ("http://shop.example:/", "shop.example", 80, "shop.example"),
        ("https://my_cdn.shop.example./", "my_cdn.shop.example.", 443, "my_cdn.shop.example."),
        ("https://93.184.215.14:444/", "93.184.215.14", 444, "93.184.215.14:444"),
        ("https://[2606:2800:21F::1]:444/", "2606:2800:21f::1", 444, "[2606:2800:21f::1]:444"),
    ],
)
def test_hosts_and_ports(url: str, host: str, port: int, authority: str) -> None:
    link = parse_link(url)
    assert (link.host, link.port, link.authority) == (host, port, authority)


@pytest.mark.parametrize(
    "url",
    [
        "https://[::1::2]/a", "https://[12345::]/", "https://[1.2.3.4]/", "https://[]/",
        "https://user@shop.example/", "https://:@shop.example/", "https://a:b@shop.example/", "https://shop.example:x/",
        "https://shop.example:0/", "https://shop.example:65536/", "https://shop.example:99999999999/", "https:///x",
        "https://[fe80::1%25eth0]/", "https://[::1]x/", "https://1.2.3/", "https://0x7f.1/", "https://①②⑦.0.0.1/",
        "https://shop.example\\@inside.example/", "https://shop.example/a\\b", "https://sh op.example/",
        "https://shop.example/a\tb", "https://shop.example/a\nb", "ftp://shop.example/", "//shop.example/",
        "shop.example", "https://xn--a.example:443:1/", "https://sh%6fp.example/", "https://shop.example/\ud800",
        "https://\u00ad.example/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ServiceError) as caught:
        parse_link(url)
    assert caught.value.reason is Reason.URL_INVALID
    assert "inside" not in caught.value.message


def test_a_url_has_a_greatest_length_and_its_representation_shows_no_path() -> None:
    longest = "https://shop.example/".ljust(MAX_URL_LENGTH, "a")
    assert len(parse_link(longest).text) == MAX_URL_LENGTH
    with pytest.raises(ServiceError):
        parse_link(longest + "a")
    assert repr(parse_link("https://shop.example/secret?token=1")) == "Link(https://shop.example:443)"


segments = st.lists(st.sampled_from(["a", "..", ".", "b;c", "%2E%2E", "x=1"]), min_size=1, max_size=6).map("/".join)
references = st.one_of(
    st.tuples(st.sampled_from(["", "/"]), segments, st.sampled_from(["", "/", "?a=%2f/../b", "#x"])).map("".join),
    st.sampled_from(["?q=1", "//other.example/x", "//other.example", "https://third.example/a%2Fb?c", "../../../x"]),
)


@given(base=st.sampled_from(["/", "/a/b/c?d=e", "/a/b/", "/x?y"]), reference=references)
def test_a_redirect_leads_where_the_standard_library_says(base: str, reference: str) -> None:
    link = parse_link(f"https://shop.example{base}")
    assert link.join(reference.encode()) == parse_link(urljoin(link.text, reference))


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (b"/a b", "https://shop.example/a%20b"), (b" next?x=%2F ", "https://shop.example/dir/next?x=%2F"),
        ("/é".encode(), "https://shop.example/%C3%A9"), ("/é".encode("latin-1"), "https://shop.example/%E9"),
        (b"?sig=a%2Fb%3D", "https://shop.example/dir/page?sig=a%2Fb%3D"), (b"#x", "https://shop.example/dir/page?q=1"),
        (b"/a//b/../c", "https://shop.example/a//c"), (b"HTTP://Other.example:81/%zz", "http://other.example:81/%25zz"),
        (b"/x#y", "https://shop.example/x"), ("//bücher.example/ü".encode(), "https://xn--bcher-kva.example/%C3%BC"),
    ],
)  # fmt: skip
def test_redirects_may_be_relative_and_hold_blanks_and_any_letters(location: bytes, text: str) -> None:
    assert parse_link("https://shop.example/dir/page?q=1").join(location).text == text


@pytest.mark.parametrize(
    "location", [b"\\\\inside.example/", b"/\\inside.example", b"javascript:x", b"http:/x", b"/a\rb"]
)
def test_a_redirect_to_what_is_no_url_is_refused(location: bytes) -> None:
    with pytest.raises(ServiceError):
        parse_link("https://shop.example/").join(location)


@given(legal_targets)
def test_a_page_changes_its_own_fields_of_the_query_alone(target: str) -> None:
    link = parse_link(f"https://shop.example{target}").with_query({"limit": "250", "page": "2"})
    before = [p for p in target.partition("?")[2].split("&") if p and p.partition("=")[0] not in ("limit", "page")]
    assert link.target.decode() == "&".join(
        [f"{target.partition('?')[0]}?" + "&".join([*before, "limit=250"]), "page=2"]
    )


def test_a_pattern_of_hosts_is_a_name_that_may_begin_with_a_star() -> None:
    for pattern in ("shop.example", "*.shop.example", "my_cdn.shop.example", "a", "x" * 63):
        assert check_host_pattern(pattern) == pattern
    assert check_host_pattern("*.Shop.Example.") == "*.shop.example"
    for pattern in ("", "*", "*shop.example", "a.*.example", "https://shop.example", "shop.example/x", "x" * 64, "ä"):
        with pytest.raises(ValueError, match="is not a host name"):
            check_host_pattern(pattern)
    with pytest.raises(ValueError, match=f"^'{'x' * 80}' is not"):
        check_host_pattern("x" * 100)
