"""Why bytes that came are not opened: a reason to count, and a sentence for the log where somebody should act."""

from enum import StrEnum

__all__ = ["Reason", "Unopened"]


class Reason(StrEnum):
    """The values are names of counters in Stats."""

    UNKNOWN_KEY = "unknown_key"
    """Sealed with a key that the keyring does not have."""
    FOREIGN_CLUSTER = "foreign_cluster"
    """Sealed for a cluster of another name."""
    UNSEALED = "unsealed"
    """Plain, and there is a keyring here."""
    SEALED = "sealed"
    """Sealed, and there is no keyring here."""
    FORGED = "forged"
    """The seal does not fit: made without the key, or damaged."""
    DAMAGED = "damaged"
    """The checksum of a plain packet does not fit."""
    REPLAYED = "replayed"
    """Came before, or so long after its time that this cannot be known, or is our own."""
    MISDIRECTED = "misdirected"
    """For a member of another name."""
    MALFORMED = "malformed"
    """None of ours."""


SILENT = frozenset({Reason.REPLAYED, Reason.MISDIRECTED, Reason.MALFORMED})
"""Networks repeat datagrams, addresses get new owners, ports are scanned: counted, and no more."""


class Unopened(Exception):
    """These bytes are dropped, and their sender gets nothing."""

    def __init__(self, reason: Reason, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason

    @property
    def should_be_told(self) -> bool:
        """Whether who runs this member should know: somebody has the wrong keys, or attacks."""
        return self.reason not in SILENT
