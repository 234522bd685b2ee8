"""TLS contexts of the server and its clients, made once a process: what a handshake costs is its time, not its keys."""

import ssl
from functools import cache

import trustme

__all__ = ["contexts"]


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and a client's."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("server").configure_cert(server)
    authority.configure_trust(client)
    for context in (server, client):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return server, client
