"""A gateway with settings that no option sets: a program for tests; it prints its address as serve does."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mangaops.wiring import Settings, serve_stack


def main() -> None:
    """Serves until SIGTERM; `--set NAME=NUMBER` names a field of GatewaySettings."""
    parser = argparse.ArgumentParser()
    for name in ("stack", "home", "ledger", "name", "port", "workers"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    options = {"name": told.name or "gateway", "port": int(told.port), "workers": int(told.workers)}
    options |= {name: int(number) for name, number in (each.split("=") for each in told.set)}
    settings = Settings(Path(told.stack), Path(told.home), told.ledger, None, "tester")
    serve_stack(settings, (), options, lambda address: print(json.dumps({"address": address}), flush=True))


if __name__ == "__main__":
    main()
