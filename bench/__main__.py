"""Every bench, one after the other: `python -m bench`, or `python -m bench ledger peers` for some."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from pathlib import Path

ASKED_FOR = frozenset({"embedding", "index", "index_libraries", "peers"})
"""Benches that run only when they are named: they take long, or need what is not installed."""


def benches() -> list[str]:
    """The names of the bench scripts, in order."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def main(names: list[str]) -> int:
    """Runs the named benches, or all that need not be named; a wrong name is told with the right ones."""
    wrong = set(names) - set(benches())
    if wrong:
        print(f"no such bench: {', '.join(sorted(wrong))}; there are {', '.join(benches())}")
        return 2
    cores, load = os.cpu_count(), os.getloadavg()[0]
    print(f"{platform.platform()}, {platform.machine()}, {cores} cores, Python {platform.python_version()}")
    print(f"load average {load:.2f}; ratios within one run mean more than times")
    for name in names or [each for each in benches() if each not in ASKED_FOR]:
        print(f"\n== {name} ==", flush=True)
        begun = time.monotonic()
        sys.argv = [f"bench/{name}.py"]
        importlib.import_module(f"bench.{name}").main()
        print(f"({name}: {time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
