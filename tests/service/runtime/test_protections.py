from service.config import load_settings
from service.runtime.protections import protections


def test_a_tenant_reads_whether_networks_are_exempt_and_not_which() -> None:
    settings = load_settings({"fetch_networks": ["10.9.8.0/24"], "fetch_urls": True}).settings
    operator, tenant = (
        {p.name: p.detail for p in protections(settings, {}, for_tenant=who)}["fetching"] for who in (False, True)
    )
    assert "10.9.8.0/24" in operator
    assert "10.9" not in tenant
    assert "some" in tenant


def test_a_protection_of_decoders_that_the_kernel_lacks_is_a_warning() -> None:
    found = {p.name: p.state for p in protections(load_settings({}).settings, {"no network": False, "no files": True})}
    assert (found["decoders: no network"], found["decoders: no files"]) == ("warning", "ok")
