"""Kills a batch run with SIGKILL at random instants, runs it again, and counts what became of its outputs.

A server that has imported everything forks each run: one starts in milliseconds, and as many can be killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from project import python_path

from oracles.processes import ended
from oracles.small_batch import predict_small, write_cases


def kill_at_random(folder: Path, n: int, *, cases: int, seed: int = 0) -> dict[str, int]:
    """Return what was found wrong, and how much was done, until `n` runs were killed."""
    write_cases(folder / "in", cases)
    server = Server()
    rng = random.Random(seed)
    try:
        start_s = time.monotonic()
        assert server.run(folder / "in", folder / "whole") == 0
        full_s = time.monotonic() - start_s
        whole = {path.name: path.read_bytes() for path in (folder / "whole").glob("case_*")}
        assert len(whole) == cases
        found = Counter(dict.fromkeys(("kills", "runs to the end", "outputs", "lost", "corrupt", "duplicated"), 0))
        found["parts left"] = found["lines cut off"] = found["parts of the killed"] = 0
        batch = 0
        while found["kills"] < n:
            output = folder / f"batch_{batch}"
            moment = (rng.randrange(6), rng.uniform(0, 2 * full_s / cases))
            killed = server.run(folder / "in", output, kill_after=moment) != 0
            found["corrupt"] += sum(path.read_bytes() != whole[path.name] for path in output.glob("case_*"))
            found["kills"] += killed
            found["parts of the killed"] += len(list(output.glob(".part-*")))
            if not killed or found["kills"] == n:
                assert server.run(folder / "in", output) == 0
                check_whole(output, whole, found)
                found["runs to the end"] += 1
                batch += 1
        return dict(found)
    finally:
        server.close()


def check_whole(output: Path, whole: Mapping[str, bytes], found: Counter) -> None:
    """Count what is wrong with a folder whose last run came to its end."""
    there = {path.name: path.read_bytes() for path in output.iterdir()}
    manifest = there.pop("manifest.jsonl")
    found["parts left"] += sum(name.startswith(".") for name in there)
    found["outputs"] += len(there)
    found["lost"] += len(set(whole) - set(there))
    found["corrupt"] += sum(there[name] != whole.get(name) for name in there)
    done: Counter = Counter()
    for line in filter(None, manifest.split(b"\n")):
        try:
            record = json.loads(line)
        except ValueError:
            found["lines cut off"] += 1
            continue
        done[record["case"]] += record["status"] == "done"
    found["lost"] += len({name.removesuffix(".nii.gz") for name in whole} - set(+done))
    found["duplicated"] += sum(count - 1 for count in (+done).values())


def lines_of(output: Path) -> int:
    manifest = output / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.is_file() else 0


class Server:
    """A process that forks one run after another."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oracles.kill_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=python_path(),
        )
        assert self.answer() == {"ready": True}

    def answer(self) -> dict:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def run(self, data: Path, output: Path, *, kill_after: tuple[int, float] | None = None, **how: object) -> int:
        """Return the exit status of a run, negative where a signal ended it.

        `kill_after` is the cases it may finish, and the seconds from then, until it is killed. `how` goes to
        `predict_small`; ``each`` is a list of such, for several runs at once.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"data": str(data), "output": str(output), **how}) + "\n")
        self.process.stdin.flush()
        pid = self.answer()["pid"]
        if kill_after is not None:
            lines = lines_of(output) + kill_after[0]
            while lines_of(output) < lines and not ended(pid):
                time.sleep(0.0005)
            time.sleep(kill_after[1])
            os.kill(pid, signal.SIGKILL)  # not yet waited for, so the number is still its own
        self.process.stdin.write("wait\n")
        self.process.stdin.flush()
        return self.answer()["status"]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def serve() -> None:
    """Run what standard input asks for, each in a fork."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch  # imported, and not used before the fork: it would not survive threads of its own

    import medseg.infer
    import medseg.prediction.run  # noqa: F401

    torch.set_num_threads(1)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        pids = []
        for each in job.pop("each", [{}]):
            pids.append(os.fork())
            if pids[-1] == 0:
                os._exit(run({**job, **each}))
        print(json.dumps({"pid": pids[0]}), flush=True)
        sys.stdin.readline()
        statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps({"status": max(statuses, key=abs)}), flush=True)


def run(job: Mapping) -> int:
    import traceback

    try:
        records = predict_small(**job)
    except BaseException:
        traceback.print_exc()
        return 3
    return int(any(record["status"] != "done" for record in records))


if __name__ == "__main__":
    serve()
