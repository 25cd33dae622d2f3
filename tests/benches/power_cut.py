#!/usr/bin/env python3
"""Cuts the power under the durable queue or the ledger, again and again, and checks what is left.

An ext4 file system on a loop device is shut down without flushing its journal while a writer runs, then
mounted again. That loses the page cache and the metadata that were not synced; it does not model a drive's
own cache. Needs root.

    power_cut.py PROGRAM ROUNDS      # PROGRAM: the bench `outbox`, built by `cargo bench --no-run`, or
                                     # `ledger-writer`, built by `cargo build --release -p lineside-tests`
"""

import contextlib
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile

SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125  # EXT4_IOC_SHUTDOWN
WITHOUT_LOG_FLUSH = 2
ROUNDS_A_DISK = 20


def cut(program, image, mount, log_path):
    """One round: writes, loses power, comes back. Gives what the verifier said."""
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    store = os.path.join(mount, "store")
    with open(log_path, "a") as log:
        writer = subprocess.Popen([program, "write", store], stdout=log, stderr=subprocess.DEVNULL)
        # The cut comes at a random moment, or as soon as the writer ends by itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(timeout=random.uniform(0.05, 1.5))
        handle = os.open(mount, os.O_RDONLY)
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        writer.kill()
        writer.wait()
        os.close(handle)
    subprocess.run(["umount", mount], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        check = [program, "verify", store, log_path]
        return subprocess.run(check, capture_output=True, text=True)
    finally:
        subprocess.run(["umount", mount], check=True)


def main():
    program, rounds = sys.argv[1], int(sys.argv[2])
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        image, mount = os.path.join(place, "disk"), os.path.join(place, "mount")
        log = os.path.join(place, "log")
        os.mkdir(mount)
        for round_ in range(rounds):
            if round_ % ROUNDS_A_DISK == 0:
                with open(image, "wb") as file:
                    file.truncate(256 << 20)
                subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
                open(log, "w").close()
            result = cut(program, image, mount, log)
            if result.returncode != 0:
                failed += 1
                print(f"round {round_}: {result.stderr.strip()}")
            elif round_ % 10 == 9:
                print(f"round {round_}: {result.stdout.strip()}", flush=True)
    print(f"{rounds} cuts, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
