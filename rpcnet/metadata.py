"""Metadata of a call, checked before it is sent. Knows no call and no frame."""

from rpcnet.errors import InvalidArgument, Metadata, ResourceExhausted

__all__ = ["checked_metadata"]


def checked_metadata(metadata: Metadata, limit: int) -> dict[str, str | bytes]:
    """A copy whose keys are text, whose values are text or bytes, and that fits the limit."""
    size = 0
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str | bytes):
            raise InvalidArgument(f"metadata {key!r} must be text to text or bytes, not {type(value).__name__}")
        size += len(key.encode()) + len(value.encode() if isinstance(value, str) else value) + 10
    if size > limit:
        raise ResourceExhausted(f"metadata of about {size} bytes exceeds max_metadata_bytes ({limit})")
    return dict(metadata)
