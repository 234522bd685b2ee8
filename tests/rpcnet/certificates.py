"""Certificates of two authorities as PEM files, made anew in a folder."""

import datetime
from pathlib import Path
from typing import NamedTuple

import trustme

__all__ = ["Certificates", "Identity"]

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
FAR_OFF = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)


class Identity(NamedTuple):
    certificate: Path
    key: Path


class Certificates:
    """`ca` has issued the identities; `stranger` is another authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority, self._stranger = trustme.CA(), trustme.CA()
        self.ca, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self._stranger.cert_pem.write_to_path(self.stranger)
        self.server = self.issue("127.0.0.1", "localhost")
        self.client = self.issue("client@example.org")

    def issue(self, *names: str, by_stranger: bool = False, expired: bool = False, future: bool = False) -> Identity:
        authority = self._stranger if by_stranger else self._authority
        issued = authority.issue_cert(
            *names, not_before=FAR_OFF if future else None, not_after=LONG_AGO if expired else None
        )
        stem = f"{names[0]}-{by_stranger}-{expired}-{future}"
        identity = Identity(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        for number, part in enumerate(issued.cert_chain_pems):
            part.write_to_path(identity.certificate, append=number > 0)
        issued.private_key_pem.write_to_path(identity.key)
        return identity
