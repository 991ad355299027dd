"""gRPC's credentials of a port, whose certificate follows the TLS files."""

from __future__ import annotations

import grpc

from service.runtime.certificates import Certificates, TlsContents


def port_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Returns credentials that read changed files when a client connects. gRPC calls them in threads of its own."""
    current = [_Configured(certificates.contents)]

    def fetch() -> grpc.ServerCertificateConfiguration:
        newest = certificates.newest()
        if current[0].contents is not newest:
            current[0] = _Configured(newest)
        return current[0].configuration

    return grpc.dynamic_ssl_server_credentials(current[0].configuration, fetch, certificates.asks_clients)


class _Configured:
    def __init__(self, contents: TlsContents) -> None:
        self.contents = contents
        self.configuration = grpc.ssl_server_certificate_configuration(
            [(contents.key, contents.cert)], root_certificates=contents.client_ca
        )
