"""IPv6 addresses that carry an IPv4 one are judged by what they lead to."""

import ipaddress
from collections.abc import Callable

import pytest

from service.intake.addresses import is_forbidden
from tests.service.intake.hostile_urls import INSIDE_V4, INSIDE_V6

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
