"""What pydantic says of a mistake, which reaches nobody; and the shapes that bring it to say it."""

from __future__ import annotations

import re
from typing import Any, Final

FOREIGN: Final = re.compile(
    "input should|value error|instance of|tuple should|list should|valid (dict|str|int|num|list|tuple|bool)"
    r"|type=|validation error|extra inputs|field required|pydantic|constrained|literal\[|tuple\[|function-",
    re.IGNORECASE,
)
SHAPES: Final[tuple[Any, ...]] = ("exact", "", 3, -1.5, True, None, [], ["a", 3, None], {}, {"a": {"b": 1}})
