"""How long the suite still takes, said on standard error now and then (pytest itself shows a percentage)."""

from __future__ import annotations

import sys
import time

import pytest


class TimeLeft:
    """A pytest plugin: every ten seconds, the time left at the pace of the tests so far."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.begun, self.said = config, 0.0, 0.0
        self.done = self.collected = 0

    def pytest_runtest_logstart(self) -> None:
        """The clock runs from the first test, not from the collection."""
        self.begun = self.begun or time.monotonic()

    def pytest_runtest_logfinish(self) -> None:
        """One more test is over."""
        self.done += 1
        now = time.monotonic()
        total = self._total()
        if total and now - self.said >= 10.0:
            self.said, spent = now, now - self.begun
            left = spent / self.done * max(0, total - self.done)
            line = f" {self.done} of {total} tests, {spent:.0f} s, about {left:.0f} s left"
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The tests are known, unless other processes collect them."""
        self.collected = len(session.items)

    def _total(self) -> int:
        """How many tests there are to run; 0 while that is unknown."""
        distributed = self.config.pluginmanager.getplugin("dsession")
        if distributed is None:
            return self.collected
        schedule = getattr(distributed, "sched", None)
        return len(getattr(schedule, "collection", None) or ())
