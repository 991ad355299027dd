"""Processes that write until they are killed: `python -m tests.index.tenant.crash_writer FOLDER`.

For each seed on its input, the process forks a writer, so that imports (half a second) happen once. The writer prints
its process id, and the parent how it ended. A writer prints a line before each batch ("?") and one after its
acknowledgement ("!"): for each record its id and vector seed, or "-" for a deletion. Each thread writes its own ids,
one batch after the other. For each id everything is therefore known except one batch in flight.
"""

import os
import random
import sys
import threading
from pathlib import Path

from index import Collection, RecordWrite
from index.records import group_commit
from tests.support.data.collections import SPEC, directory, vector

THREADS = 4


def write(collection: Collection, seed: int, thread: int, out_lock: threading.Lock) -> None:
    chance = random.Random(seed * 100 + thread)
    step = 0
    while True:
        step += 1
        names = [f"t{thread}-{chance.randrange(40)}" for _ in range(chance.randrange(1, 6))]
        names = list(dict.fromkeys(names))
        seeds = [chance.randrange(10_000) for _ in names]
        deletes = chance.random() < 0.2
        batch = " ".join(f"{n}={'-' if deletes else s}" for n, s in zip(names, seeds, strict=True))
        say(f"? {batch}", out_lock)
        if deletes:
            collection.delete(names)
        else:
            collection.upsert(
                [RecordWrite(n, vector(s), attributes={"seed": float(s)}) for n, s in zip(names, seeds, strict=True)]
            )
        say(f"! {batch}", out_lock)
        if thread == 0 and step % 15 == 0:
            collection.snapshot() if chance.random() < 0.7 else collection.compact()


def say(line: str, lock: threading.Lock) -> None:
    with lock:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def run(folder: Path, seed: int) -> None:
    """Writes from THREADS threads until the process is killed."""
    group_commit._LARGE = 3  # few changes have the threads that many have
    tenant = directory(folder)
    collection = tenant.collection("things") if "things" in tenant.names() else tenant.create(SPEC)
    print(f"begun {os.getpid()}", flush=True)
    out_lock = threading.Lock()
    threads = [threading.Thread(target=write, args=(collection, seed, n, out_lock)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:  # a process whose main thread has ended cannot do all that a server can
        thread.join()


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        if (writer := os.fork()) == 0:
            run(folder, int(line))
            os._exit(0)
        _, status = os.waitpid(writer, 0)
        print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main()
