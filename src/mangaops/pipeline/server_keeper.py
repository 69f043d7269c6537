"""Between a server and who started it: the server ends with that process, however that one ends.

    python server_keeper.py PATIENCE COMMAND...

Standard input is held open by who started it. The system closes it also where that process was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading


def main(patience: float, command: list[str]) -> int:
    """The server ran until its own end or that of standard input; what it started is gone. Its exit code."""
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(error, file=sys.stderr)  # noqa: T201 - who started it hears it
        return 127
    signal.signal(signal.SIGTERM, lambda _signal, _frame: server.terminate())

    def follow() -> None:
        sys.stdin.buffer.read()
        server.terminate()
        try:
            server.wait(patience)
        except subprocess.TimeoutExpired:
            server.kill()

    threading.Thread(target=follow, daemon=True).start()
    code = server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
