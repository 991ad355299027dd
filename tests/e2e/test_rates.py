"""A tenant with a rate, through a real server."""

import pytest

from afterimage.client import ResourceExhausted
from tests.support.server import Server
from tests.support.shell import Shell


def test_a_tenant_that_calls_too_often_is_told_how_long_to_wait(
    server: Server, tenant_name: str, tmp_path: object
) -> None:
    shell = Shell(server, tenant_name, tmp_path)  # type: ignore[arg-type]
    told = shell.json("tenants", "rate", tenant_name, "--requests-per-second", "0.1", *shell.data)
    assert told["max_requests_per_second"] == 0.1
    with server.client(shell.environment["AFTERIMAGE_API_KEY"]) as client, server.client(server.key("free")) as other:
        client.server_info()
        with pytest.raises(ResourceExhausted) as caught:
            client.server_info()
        assert caught.value.reason == "RATE_EXCEEDED"
        assert 5 < (caught.value.retry_delay_s or 0) <= 10
        other.server_info()
        other.server_info()
        assert "0.1 requests a second" in shell.run("tenants", "rate", tenant_name, *shell.data)
        shell.run("tenants", "rate", tenant_name, "--requests-per-second", "0", *shell.data)
        client.server_info()
