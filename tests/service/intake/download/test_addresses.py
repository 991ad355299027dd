"""IPv6 addresses that embed an IPv4 address are judged by the embedded one."""

import ipaddress
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.intake.download.addresses import embedded, is_exempt, is_forbidden
from tests.service.intake.download.hostile_urls import INSIDE_V4, INSIDE_V6

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.215.14")
CARRIERS: dict[str, Callable[[int], int]] = {
    "mapped": lambda v4: 0xFFFF << 32 | v4,
    "NAT64": lambda v4: 0x64FF9B << 96 | v4,
    "6to4": lambda v4: 0x2002 << 112 | v4 << 80 | 1,
    "6to4 and ISATAP": lambda v4: 0x2002_0808_0808 << 80 | 0x5EFE << 32 | v4,
    "ISATAP": lambda v4: 0x2606_2800_021F_0000 << 64 | 0x5EFE << 32 | v4,
    "ISATAP, unique": lambda v4: 0x2606_2800_021F_0000 << 64 | 0x0200_5EFE << 32 | v4,
}
WHOLE: dict[str, Callable[[int], int]] = {
    "compatible": lambda v4: v4,
    "translated": lambda v4: 0xFFFF << 48 | v4,
    "NAT64, inside": lambda v4: 0x64FF9B0001 << 80 | v4,
    "Teredo, of a server": lambda v4: 0x20010000 << 96 | v4 << 64,
    "Teredo, of a client": lambda v4: 0x20010000 << 96 | 0x08080808 << 64 | (v4 ^ 0xFFFFFFFF),
}


def carried(carrier: Callable[[int], int], address: str) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(carrier(int(ipaddress.IPv4Address(address))))


@pytest.mark.parametrize("name", CARRIERS)
def test_an_embedded_address_is_judged_as_itself(name: str) -> None:
    for inside in INSIDE_V4:
        assert is_forbidden(carried(CARRIERS[name], inside)), inside
    for public in PUBLIC:
        assert not is_forbidden(carried(CARRIERS[name], public)), public


@pytest.mark.parametrize("name", WHOLE)
def test_networks_that_carry_addresses_in_ways_of_their_own_are_forbidden_as_a_whole(name: str) -> None:
    for address in (*INSIDE_V4, *PUBLIC):
        assert is_forbidden(carried(WHOLE[name], address)), address


def test_an_operators_network_is_reached_through_its_embedded_form_too_and_no_other_is() -> None:
    exempt = (ipaddress.ip_network("10.1.0.0/16"),)
    for carrier in CARRIERS.values():
        assert not is_forbidden(carried(carrier, "10.1.2.3"), exempt)
        assert is_forbidden(carried(carrier, "10.2.2.3"), exempt)


@pytest.mark.parametrize("address", [*INSIDE_V4, *INSIDE_V6])
def test_what_is_not_public_is_forbidden(address: str) -> None:
    assert is_forbidden(ipaddress.ip_address(address))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_exactly_the_addresses_that_are_carried_are_found(v4: int, rest: int) -> None:
    inside, high = ipaddress.IPv4Address(v4), 0x2606_2800_021F_0000 << 64
    for carrier in ("mapped", "NAT64", "6to4", "ISATAP", "ISATAP, unique"):
        assert embedded(ipaddress.IPv6Address(CARRIERS[carrier](v4))) == [inside], carrier
    both = 0x2002 << 112 | v4 << 80 | 0x5EFE << 32 | (v4 ^ 1)
    assert embedded(ipaddress.IPv6Address(both)) == [inside, ipaddress.IPv4Address(v4 ^ 1)]
    middle = rest >> 32
    if middle not in (0x5EFE, 0x0200_5EFE):
        assert embedded(ipaddress.IPv6Address(high | rest)) == []
    for near in (0x5EFD, 0x5EFF, 0x1_5EFE, 0x0100_5EFE, 0x0300_5EFE, 0x0600_5EFE, 0x8000_5EFE):
        assert embedded(ipaddress.IPv6Address(high | near << 32 | v4)) == []
    assert embedded(inside) == []


def test_an_exempt_network_is_of_its_own_version_and_reaches_to_its_edges() -> None:
    exempt = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32"))
    for inside in ("10.1.0.0", "10.1.255.255", "fd00:1::", "fd00:1:ffff:ffff:ffff:ffff:ffff:ffff"):
        assert is_exempt(ipaddress.ip_address(inside), exempt)
        assert not is_forbidden(ipaddress.ip_address(inside), exempt)
    for outside in ("10.0.255.255", "10.2.0.0", "fd00:2::", "::a01:203"):
        assert not is_exempt(ipaddress.ip_address(outside), exempt)
        assert is_forbidden(ipaddress.ip_address(outside), exempt)
    assert not is_exempt(ipaddress.ip_address("10.1.0.0"), ())


def test_public_addresses_are_not_forbidden() -> None:
    for public in (*PUBLIC, "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "2606:2800:21f::1", "2003::1"):
        assert not is_forbidden(ipaddress.ip_address(public)), public
