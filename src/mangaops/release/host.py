"""What a latency figure cannot be read without: the machine that it was measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any


def host_facts() -> dict[str, Any]:
    """Processor, cores, memory, load and versions of this machine, as JSON values; null where unknown."""
    return {
        "processor": _first_value(Path("/proc/cpuinfo"), "model name") or platform.processor() or None,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
    }


def runtime_facts(threads: int) -> dict[str, Any]:
    """What answers the requests: runtime versions (null where absent) and threads a request."""
    return {
        "onnxruntime": _version("onnxruntime"),
        "tokenizers": _version("tokenizers"),
        "threads": threads,
        "load": "closed loop, one request at a time, tokenisation included, in this process",
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _first_value(path: Path, key: str) -> str | None:
    if not path.is_file():
        return None
    for line in path.read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
