from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa

from mangaops.errors import IntegrityError, LeaseHeld, UsageError
from mangaops.store import Journal, Leases, Ledger


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


def test_a_finished_step_is_found_again(ledger: Ledger) -> None:
    journal = Journal(ledger)
    assert journal.get("key") is None
    journal.put("key", "run-1", "train", {"artifact": "sha256:1", "seconds": 1.5})
    journal.put("key", "run-2", "train", {"seconds": 1.5, "artifact": "sha256:1"})
    assert journal.get("key") == {"artifact": "sha256:1", "seconds": 1.5}
    assert journal.steps("run-1") == {"train": {"artifact": "sha256:1", "seconds": 1.5}}
    assert journal.steps("run-2") == {}


def test_another_output_for_a_finished_step_is_refused(ledger: Ledger) -> None:
    journal = Journal(ledger)
    journal.put("key", "run-1", "train", {"artifact": "one"})
    with pytest.raises(IntegrityError, match="step train") as caught:
        journal.put("key", "run-2", "train", {"artifact": "two"})
    assert "run-1" in caught.value.next_step
    assert journal.get("key") == {"artifact": "one"}


def test_an_output_that_is_no_json_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UsageError):
        Journal(ledger).put("key", "run-1", "train", {"loss": float("nan")})
    assert Journal(ledger).get("key") is None


def test_of_many_that_finish_one_step_one_output_stands(ledger: Ledger) -> None:
    journal, gate = Journal(ledger), Barrier(6)

    def attempt(number: int) -> bool:
        gate.wait()
        try:
            journal.put("key", f"run-{number}", "train", {"by": number})
        except IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(attempt, range(6))).count(True) == 1


def test_a_lease_is_held_by_one_and_free_afterwards(ledger: Ledger) -> None:
    leases = Leases(ledger)
    with leases.hold("router", "alice") as lease:
        lease.check()
        with pytest.raises(LeaseHeld) as caught, leases.hold("router", "bob"):
            pass
        assert f"alice, process {os.getpid()} on " in caught.value.found
        assert "since 20" in caught.value.found
        assert caught.value.next_step
        with leases.hold("sentiment", "bob"):
            pass
    with leases.hold("router", "bob") as lease:
        assert lease.owner == "bob"


def test_a_lease_is_free_after_an_error_too(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), Leases(ledger).hold("router", "alice"):
        _ = 1 / 0
    with Leases(ledger).hold("router", "bob"):
        pass


def test_of_many_that_ask_at_once_one_gets_the_lease(ledger: Ledger) -> None:
    leases, start, end = Leases(ledger), Barrier(6), Barrier(6)

    def attempt(number: int) -> bool:
        start.wait()
        try:
            with leases.hold("router", f"run-{number}"):
                end.wait()
        except LeaseHeld:
            end.wait()
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(attempt, range(6))).count(True) == 1


HOLDER = """
import sys
from mangaops.store import Leases, Ledger
with Ledger(sys.argv[1]) as ledger, Leases(ledger).hold("router", "the dead", ttl=3600):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_owner_frees_its_lease_at_once_on_the_same_host(ledger: Ledger, ledger_url: str) -> None:
    command = [sys.executable, "-c", HOLDER, ledger_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LeaseHeld, match="the dead"), Leases(ledger).hold("router", "next"):
            pass
        holder.send_signal(signal.SIGKILL)
    with Leases(ledger).hold("router", "next"):
        pass


def edit(ledger_url: str, statement: str) -> None:
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_owner_on_another_host_keeps_its_lease_until_it_runs_out(ledger: Ledger, ledger_url: str) -> None:
    leases = Leases(ledger)
    row = "'router', 'token', 'afar', 'other#1', 4194303, '1', 0"
    edit(ledger_url, f"INSERT INTO leases VALUES ({row}, 99999999999)")
    with pytest.raises(LeaseHeld, match="afar, process 4194303 on other"), leases.hold("router", "me"):
        pass
    edit(ledger_url, "UPDATE leases SET expires = 1")
    with leases.hold("router", "me"):
        pass


def test_who_lost_the_lease_is_told(ledger: Ledger, ledger_url: str) -> None:
    with Leases(ledger).hold("router", "slow", ttl=3600) as lease:
        lease.check()
        edit(ledger_url, "UPDATE leases SET token = 'other'")
        with pytest.raises(LeaseHeld, match="router was lost"):
            lease.renew()
    edit(ledger_url, "DELETE FROM leases")
    with Leases(ledger).hold("router", "slow", ttl=0.05) as lease:
        edit(ledger_url, "UPDATE leases SET token = 'other'")
        lease._heart.join(timeout=30)
        with pytest.raises(LeaseHeld, match="another run has it"):
            lease.check()


def expiry(ledger: Ledger) -> float:
    with ledger.database.reading() as connection:
        found: float = connection.exec_driver_sql("SELECT expires FROM leases").scalar_one()
    return found


def test_a_heartbeat_renews_the_lease_while_its_holder_works(ledger: Ledger) -> None:
    with Leases(ledger).hold("router", "alive", ttl=0.3) as lease:
        first = expiry(ledger)
        while expiry(ledger) <= first:
            pass
        assert lease.trouble is None


def test_a_lease_that_could_not_be_renewed_in_time_counts_as_lost(ledger: Ledger, ledger_url: str) -> None:
    def work() -> None:
        with Leases(ledger).hold("router", "cut off", ttl=0.2) as lease:
            edit(ledger_url, "ALTER TABLE leases RENAME TO gone")
            while True:
                lease.check()

    with pytest.raises(LeaseHeld, match="not renewed for") as caught:
        work()
    assert "was not given back" in caught.value.__notes__[0]
