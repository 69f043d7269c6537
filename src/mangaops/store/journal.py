"""The journal: what each finished step of a run gave, under a key of all that went into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from mangaops.errors import IntegrityError
from mangaops.registry import canonical
from mangaops.store.ledger import Ledger
from mangaops.store.tables import JOURNAL


class Journal:
    """Steps by key, in the ledger's database; a step that stands is never changed."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    def get(self, key: str) -> dict[str, Any] | None:
        """What the step gave, or None where it was not finished."""
        query = select(JOURNAL.c.output).where(JOURNAL.c.key == key)
        with self._database.reading() as connection:
            text = connection.execute(query).scalar()
        if text is None:
            return None
        found: dict[str, Any] = json.loads(text)
        return found

    def put(self, key: str, run: str, step: str, output: Mapping[str, Any]) -> dict[str, Any]:
        """The step is finished with this output, which is JSON; told twice, it stands once.

        Given back is what `get` gives from now on: of the same value there 1.0 is 1.

        Raises:
            IntegrityError: the step is finished already, with another output.
            UsageError: the output is not JSON.
        """
        text = canonical(dict(output))
        with self._database.writing() as connection:
            row = {"key": key, "run": run, "step": step, "output": text}
            connection.execute(self._database.insert_new(JOURNAL), row)
            known = connection.execute(select(JOURNAL).where(JOURNAL.c.key == key)).one()
            if known.output != text:
                raise IntegrityError(
                    f"the output of step {step} was refused: it was finished before with another one",
                    found=f"{text[:200]}, in the journal {known.output[:200]}",
                    accepted="equal inputs give an equal output",
                    next_step=f"see run {known.run}, or measure anew with --again",
                )
        kept: dict[str, Any] = json.loads(text)
        return kept

    def steps(self, run: str) -> dict[str, dict[str, Any]]:
        """The finished steps of a run, by name."""
        query = select(JOURNAL.c.step, JOURNAL.c.output).where(JOURNAL.c.run == run).order_by(JOURNAL.c.step)
        with self._database.reading() as connection:
            return {row.step: json.loads(row.output) for row in connection.execute(query)}
