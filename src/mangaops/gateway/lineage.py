"""Workers and shadow do not outlive their supervisor: nobody would start them again, or free their port."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def end_with_supervisor() -> None:
    """This process ends as with SIGTERM, which drains it, as soon as the process that started it is gone.

    The system hangs up on processes that nobody controls any more where one of them stands still, as the
    shadow may: that ends none of them at once.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lineage", daemon=True).start()
