"""Which requests fall into a share: by a hash of their id, the same ones wherever it is asked."""

from __future__ import annotations

import hashlib


def in_share(share: float, request_id: str, what: str = "shadow") -> bool:
    """Whether the request falls into the share, in [0, 1]; other words in `what` give other requests."""
    if share >= 1.0:
        return True
    digest = hashlib.sha256(f"{what}\0{request_id}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
