"""Watches a socket's path in a tight loop, in a process of its own, and counts what was not as it must be.

Run by `SocketWatch`; prints its counts as JSON when it is told to stop.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time

LOOKS_A_CONNECTION = 50


class SocketWatch:
    """Looks at a path from now until `counts` is asked for."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True)

    def counts(self):
        """Ends the watch. `looks`, `missing`, `connections`, `refused`, and how many sockets came to stand there."""
        self.process.send_signal(signal.SIGTERM)
        return json.loads(self.process.communicate(timeout=10)[0])


def main():
    """Looks until SIGTERM."""
    path = sys.argv[1]
    counts = {"looks": 0, "missing": 0, "connections": 0, "refused": 0, "longest gap (s)": 0.0, "sockets": 0}
    stopped = False
    inode, gone_since = None, None

    def stop(*_):
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    while not stopped:
        counts["looks"] += 1
        try:
            found = os.lstat(path).st_ino
            if found != inode:
                inode = found
                counts["sockets"] += 1
            gone_since = None
        except FileNotFoundError:
            counts["missing"] += 1
            gone_since = gone_since or time.monotonic()
            gap = time.monotonic() - gone_since
            counts["longest gap (s)"] = max(counts["longest gap (s)"], round(gap, 4))
            continue
        if counts["looks"] % LOOKS_A_CONNECTION == 0:
            counts["connections"] += 1
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(path)
            except OSError:
                counts["refused"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
