"""The example that tells what each part of a pair is worth, run to its end on the shop of a made-up slang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from search_world import make_search_world

EXAMPLE = Path(__file__).parents[2] / "examples" / "compare.py"


@pytest.mark.slow
def test_each_part_is_told_and_what_was_trained_is_kept(tmp_path: Path) -> None:
    world = make_search_world(tmp_path / "world")
    files = {name: str(world.folder / f"{name}.parquet") for name in ("catalogue", "judgments")}
    flags = ["--stack", str(world.stack), "--keep", str(tmp_path / "keep")]
    flags += ["--layers", "1"]
    flags += [each for name, file in files.items() for each in (f"--{name}", file)]
    first, again = (
        subprocess.run([sys.executable, str(EXAMPLE), *flags], capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    for told in (
        "trained adapter in",
        "trained reranker in",
        "adapter over the frozen base, 36 golden queries",
        "the pair over the reranker alone",
        "the pair over BM25",
        "the pair with 8 candidates",
        "a network of 1 layers with 8 candidates",
        "P95 of a search",
    ):
        assert told in first.stdout
    assert "trained" not in again.stdout
    assert "the pair over BM25" in again.stdout
