"""Between a server and who started it: the server ends with that process, however that one ends.

    python server_keeper.py PATIENCE COMMAND...

Standard input is held open by who started it. The system closes it also where that process was killed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading


def main(patience: float, command: list[str]) -> int:
    """The server ran to its end, asked for by that of standard input or SIGTERM; what it started is gone.

    Its exit code.
    """
    ends = queue.SimpleQueue[None]()
    signal.signal(signal.SIGTERM, lambda _signal, _frame: ends.put(None))
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(error, file=sys.stderr)  # noqa: T201 - who started it hears it
        return 127

    def follow() -> None:
        ends.get()
        server.terminate()
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            server.kill()

    threading.Thread(target=_read_to_its_end, args=(ends,), daemon=True).start()
    threading.Thread(target=follow, daemon=True).start()
    code = server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _read_to_its_end(ends: queue.SimpleQueue[None]) -> None:
    """Standard input has ended, or there is none."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    ends.put(None)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
