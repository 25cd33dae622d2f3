#!/usr/bin/env python3
"""Cuts the power under the durable queue, the ledger or an archive, again and again, and checks what is left.

An ext4 file system on a loop device is shut down without flushing its journal while a writer runs, then
mounted again. That loses the page cache and the metadata that were not synced; it does not model a drive's
own cache. Needs root.

Only what the writer had said before the cut began counts: a sync that is under way then may still return as if it had
been carried out, and the writer lives on for a moment, which it would not without power.

    power_cut.py PROGRAM ROUNDS [SECONDS [ROUNDS_A_DISK]]
        # PROGRAM: the bench `outbox`, built by `cargo bench --no-run`, or `ledger-writer` or `archive-writer`, built by
        # `cargo build --release -p lineside-tests`, or `bare`: a file with fdatasync, by which this script itself is tried.
        # SECONDS: the latest moment of a cut; 0.1 tries how a store begins, on a disk of its own each time. An archive
        # cosigns nothing before the fourth second: 10 20 for that, 20 rounds on each disk.
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
LATEST_S = 1.5
BARE_BYTES = 350


def cut(program, image, mount, log_path, latest_s):
    """One round: writes, loses power, comes back. Gives what the verifier said."""
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    store = os.path.join(mount, "store")
    with open(log_path, "a") as log:
        command = [*program, "write", store]
        writer = subprocess.Popen(command, env=beside(log_path), stdout=log, stderr=subprocess.DEVNULL)
        # The cut comes at a random moment, or as soon as the writer ends by itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(timeout=random.uniform(0, latest_s))
        handle = os.open(mount, os.O_RDONLY)
        said = os.path.getsize(log_path)
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
        writer.kill()
        writer.wait()
        os.close(handle)
    os.truncate(log_path, said)
    subprocess.run(["umount", mount], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    try:
        check = [*program, "verify", store, log_path]
        return subprocess.run(check, env=beside(log_path), capture_output=True, text=True)
    finally:
        subprocess.run(["umount", mount], check=True)


def beside(log_path):
    """The environment: what a program keeps apart from its store has power all the time, and goes when all is over."""
    return {**os.environ, "TMPDIR": os.path.dirname(log_path), "RUST_BACKTRACE": "0"}


def bare_write(store):
    """Appends to a file, and says how many pieces are durable."""
    os.makedirs(store, exist_ok=True)
    file = os.open(os.path.join(store, "file"), os.O_RDWR | os.O_CREAT)
    os.fsync(file)
    for folder in (store, os.path.dirname(store)):
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    count = os.fstat(file).st_size // BARE_BYTES
    os.lseek(file, count * BARE_BYTES, os.SEEK_SET)
    while True:
        os.write(file, b"x" * BARE_BYTES)
        os.fdatasync(file)
        count += 1
        os.write(1, b"%d\n" % count)


def bare_verify(store, log):
    """Whether the file holds all that was said to be durable."""
    with open(log) as lines:
        said = max((int(line) for line in lines if line.endswith("\n")), default=0)
    path, data = os.path.join(store, "file"), b""
    if os.path.exists(path):
        with open(path, "rb") as file:
            data = file.read()
    if data[: said * BARE_BYTES] != b"x" * (said * BARE_BYTES):
        sys.exit(f"{said} pieces were durable, there are {len(data) // BARE_BYTES}")
    print(f"{said} pieces")


def main():
    match sys.argv[1:]:
        case ["write", store]:
            return bare_write(store)
        case ["verify", store, log]:
            return bare_verify(store, log)
        case [program, rounds]:
            latest_s, rounds_a_disk = LATEST_S, ROUNDS_A_DISK
        case [program, rounds, latest]:
            latest_s, rounds_a_disk = float(latest), 1
        case [program, rounds, latest, of_disk]:
            latest_s, rounds_a_disk = float(latest), int(of_disk)
        case _:
            sys.exit(__doc__)
    program = [sys.executable, __file__] if program == "bare" else [program]
    rounds, failed = int(rounds), 0
    with tempfile.TemporaryDirectory() as place:
        image, mount = os.path.join(place, "disk"), os.path.join(place, "mount")
        log = os.path.join(place, "log")
        os.mkdir(mount)
        for round_ in range(rounds):
            if round_ % rounds_a_disk == 0:
                with open(image, "wb") as file:
                    file.truncate(256 << 20)
                subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
                open(log, "w").close()
            result = cut(program, image, mount, log, latest_s)
            if result.returncode != 0:
                failed += 1
                print(f"round {round_}: {result.stderr.strip()}")
            elif round_ % 10 == 9:
                print(f"round {round_}: {result.stdout.strip()}", flush=True)
    print(f"{rounds} cuts, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
