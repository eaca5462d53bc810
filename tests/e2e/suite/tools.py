"""Commands, bounded waits, and what a failed expectation says."""

import subprocess
import time


class Failed(AssertionError):
    """An expectation that did not hold."""


def run(*command, given=None, within=120, check=True):
    """Runs a command and gives its standard output."""
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=within, check=False)
    if check and done.returncode:
        raise Failed(f"{' '.join(command)[:200]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def until(what, probe, within=60.0, every=0.1):
    """Calls `probe` until it gives something true, and gives that. What it raised or gave last is in the failure."""
    end = time.monotonic() + within
    last = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except Failed as failure:
            last = failure
        if time.monotonic() > end:
            raise Failed(f"not within {within:g} s: {what}; last seen: {str(last)[-1500:]}")
        time.sleep(every)


def expect(truth, message):
    """Fails with the message unless it is true."""
    if not truth:
        raise Failed(message)


def same(actual, expected, what):
    """Fails unless both are equal."""
    if actual != expected:
        raise Failed(f"{what}: expected {expected!r}, got {actual!r}")


def has(text, *parts):
    """Fails unless the text has all the parts."""
    for part in parts:
        if part not in text:
            raise Failed(f"{part!r} is not in: {text[-3000:]}")


def now_ms():
    """Milliseconds of Unix time, as the reader in the pods prints them."""
    return time.time() * 1000


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self):
        return time.monotonic() - self.began
