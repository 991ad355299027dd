"""URLs that must never be fetched, by kind of attack.

Built from parts, so that every trick is tried on every target.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

INSIDE_V4 = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "192.0.0.9",
    "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
INSIDE_V6 = (
    "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1", "3fff::1",
    "5f00::1", "100::1", "2001::1", "2001:10::1", "64:ff9b:1::1", "64:ff9b:1::808:808", "::7f00:1", "::ffff:0:7f00:1",
)  # fmt: skip
SYNTAX = (
    "", " ", "example.org", "//example.org/x", "/x.jpg", "https:", "https://", "https:///x.jpg", "http//example.org",
    "ftp://example.org/x", "file:///etc/passwd", "gopher://example.org/", "data:image/png;base64,AAAA",
    "javascript:alert(1)", "unix:///run/redis.sock", "dict://127.0.0.1:6379/", "jar:https://example.org!/x",
    "https://user@example.org/", "https://user:pass@example.org/", "https://@example.org/", "https://:@example.org/",
    "https://example.org@127.0.0.1/", "https://127.0.0.1#@example.org/" + "\n", "https://exa mple.org/",
    "https://example.org\\@127.0.0.1/", "https:\\\\example.org\\x", "https://example.org/\r\nHost: inside",
    "https://example.org/\x00", "https://example.org/\x7f", "\thttps://example.org/", "https://example.org:0/",
    "https://example.org:65536/", "https://example.org:-1/", "https://example.org:x/", "https://a..example/",
    "https://.example/", "https://-a.example/", "https://a-.example/", "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example.org/", "https://example.org/" + "a" * 2000, "https://[example.org]/",
    "https://[::1/", "https://::1/", "https://ex%61mple.org/",
    "https://%31%32%37.0.0.1/", "https://exam\u200bple.o rg/",
)  # fmt: skip


def _other_spellings(address: str) -> Iterator[str]:
    """Spellings of this IPv4 address that some resolver accepts."""
    number = int(ipaddress.IPv4Address(address))
    a, b, c, d = address.split(".")
    yield str(number)
    yield hex(number)
    yield f"0{number:o}"
    yield f"{int(a):#x}.{int(b):#x}.{int(c):#x}.{int(d):#x}"
    yield f"0{int(a):o}.0{int(b):o}.0{int(c):o}.0{int(d):o}"
    yield f"{a}.{int(b) << 16 | int(c) << 8 | int(d)}"


def _carried_in_v6(address: str) -> Iterator[str]:
    """IPv6 addresses that lead to this IPv4 address."""
    number = int(ipaddress.IPv4Address(address))
    for base in (0xFFFF << 32, 0x64FF9B << 96, 0x64FF9B0001 << 80, 0):
        yield str(ipaddress.IPv6Address(base | number))
    yield str(ipaddress.IPv6Address(0x2002 << 112 | number << 80))


def hostile_urls() -> list[str]:
    """All hostile URLs, without duplicates."""
    urls = list(SYNTAX)
    urls += [f"https://{a}/x.jpg" for a in INSIDE_V4] + [f"https://[{a}]/x.jpg" for a in INSIDE_V6]
    for address in ("127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1"):
        urls += [f"https://{spelling}/latest/meta-data" for spelling in _other_spellings(address)]
        urls += [f"https://[{carried}]/x.jpg" for carried in _carried_in_v6(address)]
        urls += [
            f"http://{address}/",
            f"https://{address}:6379/",
            f"https://{address}.:443/",
            f"https://{address}?.jpg",
        ]
        urls += [f"https://{name}/x.jpg" for name in (f"{address}.nip.example", f"inside-{address}.example")]
    wide = {ord(c): chr(0xFF10 + int(c)) for c in "0123456789"}
    urls += [f"https://{a.translate(wide)}/" for a in INSIDE_V4]
    urls += [f"https://{a.replace('.', '。')}/" for a in INSIDE_V4]
    urls += [f"https://{name}/" for name in ("localhost", "LOCALHOST", "localhost.", "foo.localhost", "inside.example")]
    urls += [
        f"https://public.example:{port}/" for port in (22, 25, 80, 444, 3306, 5432, 6379, 8080, 8443, 11211, 50051)
    ]
    urls += ["http://public.example/", "http://public.example:443/"]
    return list(dict.fromkeys(urls))
