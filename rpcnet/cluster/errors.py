"""What can go wrong in a cluster. A class is what a caller would catch separately.

ClusterError
├── InvalidRecord (a ValueError too)
│   └── InvalidTag
│       └── TagsTooLarge
├── NameInUse         a living process has this name
├── KeyringError
│   ├── InvalidKey    (a ValueError too)
│   ├── UnknownKey    (a LookupError too)
│   └── KeyInUse      the primary cannot be removed
├── NotPermitted      forging another member; a bind that would be open to strangers
└── ClusterClosed     the cluster is not started, or has been left
"""

__all__ = [
    "ClusterClosed",
    "ClusterError",
    "InvalidKey",
    "InvalidRecord",
    "InvalidTag",
    "KeyInUse",
    "KeyringError",
    "NameInUse",
    "NotPermitted",
    "TagsTooLarge",
    "UnknownKey",
]


class ClusterError(Exception):
    """Anything that a Cluster raises for a reason of its own."""


class InvalidRecord(ClusterError, ValueError):
    """A name, address, service, run or tag that others could not take, or not use: nothing of it is announced."""


class InvalidTag(InvalidRecord):
    """A tag that cannot be announced."""


class TagsTooLarge(InvalidTag):
    """A record that does not fit: max_tags_bytes for the tags, max_datagram_bytes for all of it."""


class NameInUse(ClusterError):
    """Another process of the cluster has this name, and answers: it keeps it."""


class KeyringError(ClusterError):
    """A change of a keyring that is refused; nothing is changed."""


class InvalidKey(KeyringError, ValueError):
    """Not 16 or 32 bytes, or base64 text of as many; or one too many. The text tells nothing of the key."""


class UnknownKey(KeyringError, LookupError):
    """The keyring has no such key: add it first."""


class KeyInUse(KeyringError):
    """The primary cannot be removed: use another one first."""


class NotPermitted(ClusterError):
    """Something that the rules forbid: speaking for another member, an open bind without a key."""


class ClusterClosed(ClusterError):
    """The cluster is not running: not started yet, or left."""
