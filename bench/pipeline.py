"""Wall time of a release run by step, on the simulated world of the quickstart; shares of the longest step.

python -m bench pipeline
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from mangaops.pipeline.quickstart import Teller
from mangaops.wiring import Settings, run_quickstart

STACK = Path(__file__).parents[1] / "examples" / "quickstart" / "stack.yaml"


def main() -> None:
    """Prints a table: seconds of each step of the three runs, and the ratio to training in the same run."""
    with tempfile.TemporaryDirectory(prefix="mangaops-bench-") as place:
        folder = Path(place) / "world"
        settings = Settings(STACK, folder / "home", None, None, "bench")
        silent = Teller(*[lambda *_: None] * 4)
        begun = time.monotonic()
        story = run_quickstart(settings, folder, seed=7, teller=silent)
        whole = time.monotonic() - begun
    print(f"{'step':<28}" + "".join(f"{run['release']:>12}{'/ train':>9}" for run in story["runs"]))
    steps = list(dict.fromkeys(step for run in story["runs"] for step in run["seconds"]))
    for step in steps:
        cells = ""
        for run in story["runs"]:
            taken, train = run["seconds"].get(step), run["seconds"]["train/intent-classifier"]
            cells += f"{'-':>12}{'-':>9}" if taken is None else f"{taken:>10.1f} s{taken / train:>9.2f}"
        print(f"{step:<28}{cells}")
    print(f"whole quickstart {whole:.0f} s (three trainings, one replay, one review)")


if __name__ == "__main__":
    main()
