"""Why two ends did not come to greet each other, in words: at which end, why, and what to do about it.

Knows the errors of ssl and of asyncio's transports; knows no connection and no address. What TLS looks like to an end
that has none, wire/parser.py says. asyncio sends no TLS alert where its own handshake fails, so its peer learns nothing
but the end of the connection: the texts for that name the usual causes, and the other end's log names the one.

Tests: tests/rpcnet/test_handshake.py, and test_tls_failures.py over sockets and in the simulator.
"""

import ssl
from typing import Any, Final

from rpcnet.tls import ALPN

__all__ = ["agreement_fault", "early_end", "handshake_failure"]

VERSION: Final = "TLSv1.3"
NEEDS: Final = "rpcnet needs TLS 1.3 at both ends"

NOT_TLS: Final = frozenset(
    {
        "HTTP_REQUEST",
        "HTTPS_PROXY_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNKNOWN_PROTOCOL",
        "WRONG_VERSION_NUMBER",
    }
)
"""What OpenSSL says of bytes that are no TLS record."""
NO_COMMON_VERSION: Final = frozenset(
    {"NO_PROTOCOLS_AVAILABLE", "NO_SHARED_CIPHER", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW"}
)
EXPIRED, NOT_YET_VALID = 10, 9
UNTRUSTED: Final = frozenset({2, 18, 19, 20, 21, 27})
"""X509_V_ERR_… of OpenSSL: no issuer, self-signed, signed by itself in the chain, issuer not at hand, not trusted."""
OTHER_NAME: Final = frozenset({62, 63, 64})


def agreement_fault(ssl_object: Any) -> str | None:
    """What is wrong with what a finished handshake agreed on; None without TLS, and where nothing is wrong."""
    if ssl_object is None:
        return None
    version = ssl_object.version()
    if version != VERSION:
        return f"{version} was agreed on, but {NEEDS}; make the contexts of both ends with rpcnet.tls"
    protocol = ssl_object.selected_alpn_protocol()
    if protocol not in {None, ALPN}:
        return (
            f"the ALPN protocol {protocol!r} was agreed on, rpcnet's is {ALPN!r}; make the context of this end with"
            " rpcnet.tls, or give it no ALPN protocols"
        )
    return None


def early_end(error: Exception | None, side: str, has_tls: bool) -> str:
    """Why a connection ended, in order or by this error, without a byte of the peer's greeting."""
    if isinstance(error, ssl.SSLError):
        return handshake_failure(error, side)
    if side == "server":
        return "the client closed it before its HELLO"
    if has_tls:
        return (
            "the server closed it before its HELLO. With TLS 1.3 a server refuses a client's certificate, or that"
            " there is none, so: give client_context(certificate=, key=) one of the server's client_ca; the server's"
            " log names the reason"
        )
    return "the server closed it before its HELLO; a server with TLS does so: then give the client tls= (rpcnet.tls)"


def handshake_failure(error: BaseException, side: str) -> str:
    """What the failure of a TLS handshake at this `side`, client or server, means."""
    peer = "client" if side == "server" else "server"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused_here(error, side, peer)
    if isinstance(error, ConnectionAbortedError):
        return f"the {peer} did not finish the TLS handshake in time; is there TLS at both ends? ({error})"
    if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _ended_without_a_word(side, peer)
    reason = getattr(error, "reason", None)  # of those SSLErrors that OpenSSL has a name for
    if isinstance(error, ssl.SSLError) and reason:
        return _reason(reason, side, peer)
    return f"the TLS handshake failed: {str(error) or type(error).__name__}"


def _refused_here(error: ssl.SSLCertVerificationError, side: str, peer: str) -> str:
    """This end has looked at the peer's certificate and does not take it."""
    said = error.verify_message.rstrip(".")
    if error.verify_code == EXPIRED:
        return f"the {peer}'s certificate has expired; renew it there"
    if error.verify_code == NOT_YET_VALID:
        return f"the {peer}'s certificate is not valid yet; compare the clocks of both machines"
    if error.verify_code in OTHER_NAME:
        return (
            f"the {peer}'s certificate is for another name: {said}; connect by a name that it holds, or issue one that"
            " holds this one"
        )
    if error.verify_code in UNTRUSTED:
        argument = "client_context(ca=)" if side == "client" else "server_context(client_ca=)"
        return f"the {peer}'s certificate is of no authority that this {side} trusts ({said}); name its one: {argument}"
    return f"the {peer}'s certificate is refused: {said}"


def _reason(reason: str, side: str, peer: str) -> str:
    """The reason of an SSLError: a judgement of this end, or an alert, which is the peer's."""
    _, is_alert, alert = reason.partition("ALERT_")
    if is_alert:
        return _refused_there(alert, side, peer)
    if reason in NOT_TLS:
        if side == "client":
            return "the server answers without TLS; leave tls= out at the client, or give the server a context"
        return "the client speaks without TLS; give it tls=, or leave tls= out at this server"
    if reason in NO_COMMON_VERSION:
        # OpenSSL says the same where a server's context has no certificate: without one it has no TLS 1.3.
        bare = " (and a server's context with a certificate: load_cert_chain)" if side == "server" else ""
        return f"the {peer} offers no version of TLS that this {side}'s context takes; {NEEDS}{bare}"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "the client has no certificate, and this server demands one; give client_context(certificate=, key=)"
    return f"the TLS handshake failed at this {side}: {reason.replace('_', ' ').lower()}"


def _refused_there(alert: str, side: str, peer: str) -> str:
    if alert == "PROTOCOL_VERSION":
        return f"the {peer} takes no version of TLS that this {side}'s context offers; {NEEDS}"
    if alert == "CERTIFICATE_REQUIRED":
        return f"the {peer} demands a certificate, and this {side} has none; give {side}_context(certificate=, key=)"
    if alert == "UNKNOWN_CA":
        argument = "client_context(ca=)" if peer == "client" else "server_context(client_ca=)"
        return f"the {peer} does not trust the authority of this {side}'s certificate; name it there: {argument}"
    if alert == "CERTIFICATE_EXPIRED":
        return f"the {peer} refuses this {side}'s certificate, which has expired; renew it"
    if alert == "NO_APPLICATION_PROTOCOL":
        return f"the {peer} takes none of the ALPN protocols of this {side}'s context; rpcnet's is {ALPN!r}"
    said = alert.replace("_", " ").lower()
    if "CERTIFICATE" in alert:
        return f"the {peer} refuses this {side}'s certificate: {said}; its log, or its error, says why"
    return f"the {peer} broke the TLS handshake off: {said}; {NEEDS}"


def _ended_without_a_word(side: str, peer: str) -> str:
    if side == "server":
        return (
            "the client ended the TLS handshake without a reason; mostly it refuses this server's certificate (name,"
            " authority, expiry): its own error says which"
        )
    return (
        f"the server ended the TLS handshake without a reason; mostly its context takes no version of TLS that this"
        f" one offers ({NEEDS}), or it has no TLS at all: the server's log says which"
    )
