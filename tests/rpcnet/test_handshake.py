"""What is said of failed handshakes, row by row: also of what only other TLS libraries send."""

import ssl
from typing import Any

import pytest

from rpcnet.handshake import agreement_fault, early_end, handshake_failure


def failure(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def refused(code: int, message: str) -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


class Agreed:
    """An ssl object after its handshake."""

    def __init__(self, version: str, protocol: str | None) -> None:
        self.version = lambda: version
        self.selected_alpn_protocol = lambda: protocol


CLIENT = [
    (failure("WRONG_VERSION_NUMBER"), "the server answers without TLS; leave tls= out at the client"),
    (failure("UNSUPPORTED_PROTOCOL"), "the server offers no version of TLS that this client's context takes"),
    (failure("TLSV1_ALERT_PROTOCOL_VERSION"), "the server takes no version of TLS that this client's context offers"),
    (failure("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "this client has none; give client_context(certificate=, key=)"),
    (failure("TLSV1_ALERT_UNKNOWN_CA"), "does not trust the authority of this client's certificate; name it there"),
    (failure("SSLV3_ALERT_CERTIFICATE_EXPIRED"), "this client's certificate, which has expired; renew it"),
    (failure("SSLV3_ALERT_CERTIFICATE_REVOKED"), "refuses this client's certificate: certificate revoked"),
    (failure("SSLV3_ALERT_BAD_CERTIFICATE"), "refuses this client's certificate: bad certificate"),
    (failure("TLSV1_ALERT_NO_APPLICATION_PROTOCOL"), "takes none of the ALPN protocols of this client's context"),
    (failure("SSLV3_ALERT_HANDSHAKE_FAILURE"), "the server broke the TLS handshake off: handshake failure"),
    (failure("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), "failed at this client: decryption failed or bad record mac"),
    (refused(10, "certificate has expired"), "the server's certificate has expired; renew it there"),
    (refused(9, "certificate is not yet valid"), "not valid yet; compare the clocks of both machines"),
    (refused(62, "Hostname mismatch, certificate is not valid for 'x'."), "not valid for 'x'; connect by a name"),
    (refused(18, "self-signed certificate"), "trusts (self-signed certificate); name its one: client_context(ca=)"),
    (refused(23, "certificate revoked"), "the server's certificate is refused: certificate revoked"),
    (ConnectionResetError(), "the server ended the TLS handshake without a reason"),
    (
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        "the server ended the TLS handshake without a reason",
    ),
    (ConnectionAbortedError("took longer than 10 seconds"), "in time; is there TLS at both ends? (took longer"),
    (OSError(113, "No route to host"), "the TLS handshake failed: [Errno 113] No route to host"),
    (RuntimeError(), "the TLS handshake failed: RuntimeError"),
]
SERVER = [
    (failure("HTTP_REQUEST"), "the client speaks without TLS; give it tls=, or leave tls= out at this server"),
    (failure("UNSUPPORTED_PROTOCOL"), "a server's context with a certificate: load_cert_chain"),
    (failure("PEER_DID_NOT_RETURN_A_CERTIFICATE"), "the client has no certificate, and this server demands one"),
    (failure("TLSV1_ALERT_UNKNOWN_CA"), "the client does not trust the authority of this server's certificate"),
    (failure("TLSV1_ALERT_UNKNOWN_CA"), "name it there: client_context(ca=)"),
    (failure("SSLV3_ALERT_CERTIFICATE_UNKNOWN"), "refuses this server's certificate: certificate unknown"),
    (refused(20, "unable to get local issuer certificate"), "name its one: server_context(client_ca=)"),
    (ConnectionResetError(), "mostly it refuses this server's certificate (name, authority, expiry)"),
]


@pytest.mark.parametrize(
    ("side", "error", "text"),
    [("client", *row) for row in CLIENT] + [("server", *row) for row in SERVER],
    ids=lambda value: getattr(value, "reason", None) or str(value)[:40],
)
def test_each_failure_is_said_in_words(side: str, error: Exception, text: str) -> None:
    assert text in handshake_failure(error, side)


@pytest.mark.parametrize(
    ("agreed", "text"),
    [
        (None, None),
        (Agreed("TLSv1.3", None), None),
        (Agreed("TLSv1.3", "rpcnet/1"), None),
        (Agreed("TLSv1.3", "h2"), "the ALPN protocol 'h2' was agreed on, rpcnet's is 'rpcnet/1'"),
        (Agreed("TLSv1.2", "rpcnet/1"), "TLSv1.2 was agreed on, but rpcnet needs TLS 1.3 at both ends"),
    ],
)
def test_what_was_agreed_on_is_judged(agreed: Any, text: str | None) -> None:
    fault = agreement_fault(agreed)
    assert fault is text if text is None or fault is None else text in fault


@pytest.mark.parametrize(
    ("error", "side", "has_tls", "text"),
    [
        (None, "server", True, "the client closed it before its HELLO"),
        (None, "client", False, "a server with TLS does so: then give the client tls="),
        (ConnectionResetError(), "client", False, "a server with TLS does so: then give the client tls="),
        (None, "client", True, "With TLS 1.3 a server refuses a client's certificate, or that there is none, so"),
        (failure("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "client", True, "the server demands a certificate"),
    ],
)
def test_an_end_before_the_greeting_names_usual_causes(
    error: Exception | None, side: str, has_tls: bool, text: str
) -> None:
    assert text in early_end(error, side, has_tls)
