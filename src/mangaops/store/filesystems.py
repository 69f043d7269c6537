"""On what kind of disk a path lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "glusterfs", "fuse.glusterfs", "lustre"}
)
_MOUNTS: Final = Path("/proc/self/mounts")


def network_filesystem(path: Path, mounts: str | None = None) -> str | None:
    """The kind of network file system that `path` would lie on; None for a local disk or where unknown.

    `mounts` is the text of /proc/self/mounts, read where it is not given.
    """
    if mounts is None:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace") if _MOUNTS.exists() else ""
    found, depth, absolute = "", -1, path.absolute()
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if absolute.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = fields[2], len(point.parts)
    return found if found in NETWORK else None
