from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from mangaops.store.processes import is_dead, this_process


def test_a_process_that_runs_is_not_dead() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert not is_dead(me)
    assert not is_dead(replace(me, started="-"))


def test_a_process_that_ended_is_dead_and_so_is_one_whose_number_is_used_again() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert is_dead(replace(this_process(), pid=done.pid))
    assert is_dead(replace(this_process(), started="1"))


def test_a_process_that_ended_and_was_not_fetched_is_dead() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert is_dead(replace(this_process(), pid=child))
    os.waitpid(child, 0)


def test_of_another_host_nothing_is_certain() -> None:
    assert not is_dead(replace(this_process(), host="other#1", pid=4194303))


def test_a_host_is_named_without_what_makes_it_unique() -> None:
    assert "#" not in this_process().host_name
    assert this_process().host.startswith(this_process().host_name)
