"""Runs a command and prints how long it took and how much memory it needed. Fails beyond 5 seconds or 300 MiB.

usage: measure.py COMMAND...
"""

import resource
import subprocess
import sys
import time

MAX_SECONDS, MAX_MIB = 5, 300

began = time.monotonic()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
seconds = time.monotonic() - began
mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"10,000 pods and 1,000 classes: {seconds:.1f} s, {mib:.0f} MiB")
sys.exit(0 if code in (0, 1) and seconds <= MAX_SECONDS and mib <= MAX_MIB else 1)
