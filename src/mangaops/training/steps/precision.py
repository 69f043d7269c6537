"""Where a network runs and with how many bits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


def device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolved(precision: Precision) -> Literal["bf16", "fp32"]:
    """What `auto` means here: bf16 where the device multiplies it in hardware."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text(encoding="utf-8").split()) if info.is_file() else set()
    return "bf16" if flags & {"avx512_bf16", "amx_bf16"} else "fp32"


def autocast(precision: Precision) -> torch.autocast:
    """A context in which matrix products are done in the precision."""
    half = resolved(precision) == "bf16"
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=half)
