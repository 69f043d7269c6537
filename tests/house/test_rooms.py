"""The house keeps its walls: arrows, purity and sizes are checked on the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "mangaops"
PURE = ("stats", "evidence", "metrics", "registry", "gates", "vocabulary.py", "errors.py")
RANDOM_ALLOWED = {"Generator", "default_rng", "SeedSequence"}
CLOCKS = {"now", "utcnow", "today", "time_ns", "perf_counter", "monotonic"}


def sources(*rooms: str) -> Iterator[Path]:
    for room in rooms or (".",):
        place = SOURCE / room
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def impurities(code: str) -> list[str]:
    """Each use of a clock or of global randomness, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None) or ""
            if module.startswith("numpy.random") and set(names) - RANDOM_ALLOWED:
                found.append(f"{node.lineno}: from numpy.random import {names}")
            if {"time", "random", "secrets"} & ({module} | (set(names) if not module else set())):
                found.append(f"{node.lineno}: import of a clock or of global randomness")
        if not isinstance(node, ast.Attribute):
            continue
        owner = ast.unparse(node.value)
        if owner in {"np.random", "numpy.random"} and node.attr not in RANDOM_ALLOWED:
            found.append(f"{node.lineno}: {owner}.{node.attr}")
        if owner in {"datetime", "date", "datetime.datetime", "time"} and node.attr in CLOCKS:
            found.append(f"{node.lineno}: {owner}.{node.attr}")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("default_rng") and not node.args:
            found.append(f"{node.lineno}: default_rng without a seed")
    return found


@pytest.mark.parametrize("path", list(sources(*PURE)), ids=lambda p: str(p.relative_to(SOURCE)))
def test_pure_rooms_have_no_clock_and_no_global_randomness(path: Path) -> None:
    assert impurities(path.read_text()) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from random import random",
        "import datetime\ndatetime.datetime.now()",
        "import numpy as np\nnp.random.rand(3)",
        "import numpy as np\nnp.random.default_rng()",
        "from numpy.random import normal",
    ],
)
def test_the_purity_check_fires(code: str) -> None:
    assert impurities(code)


def test_the_purity_check_stays_quiet_on_a_generator_that_was_passed_in() -> None:
    code = "import numpy as np\ndef draw(rng: np.random.Generator) -> float:\n    return rng.random()\n"
    assert impurities(code) == []


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (
                f"{path.relative_to(SOURCE)}:{node.name}",
                (node.end_lineno or node.lineno) - node.lineno + 1,
            )


def test_functions_and_modules_stay_small() -> None:
    lengths = [item for path in sources() for item in functions(path)]
    assert [item for item in lengths if item[1] > 60] == []
    assert sum(length <= 25 for _, length in lengths) / len(lengths) >= 0.9
    assert [str(path) for path in sources() if path.read_text().count("\n") > 600] == []
    recipes = [path for path in sources("training") if path.parent.name == "recipes"]
    assert [path.name for path in recipes if path.read_text().count("\n") > 250] == []
    assert len(recipes) > 1


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "common", "helpers", "base", "misc"}
    assert [str(path) for path in sources() if path.stem in empty] == []


def test_no_exception_is_swallowed() -> None:
    swallowed = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body)
    ]
    assert swallowed == []


def test_every_package_file_imports() -> None:
    """An import smoke test: `pip check` may be clean while an import fails."""
    modules = [
        "mangaops." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sources()
        if path.name != "__init__.py" and "migrations" not in path.parts
    ]
    code = f"import importlib\nfor m in {modules!r}: importlib.import_module(m)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_only_training_needs_torch() -> None:
    """Everything but training imports where torch and transformers do not exist."""
    modules = [
        "mangaops." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sources()
        if path.name != "__init__.py" and not {"training", "migrations"} & set(path.parts)
    ]
    code = (
        "import sys, importlib\n"
        "for absent in ('torch', 'transformers', 'sklearn'): sys.modules[absent] = None\n"
        f"for m in {modules!r}: importlib.import_module(m)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
