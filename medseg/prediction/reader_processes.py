"""Processes that read: one that a damaged file crashes or hangs is ended, its case recorded, another started.

They are plain Python programs that talk over a socket, not `multiprocessing`'s: those import the caller's main
module again, which a notebook lacks and a script without a guard runs twice. They end with their parent.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from medseg.cases import Case
from medseg.errors import InputError
from medseg.prediction.batch import ASK_AGAIN_S, Read
from medseg.prediction.record import Record, begun

START = f"import sys; sys.path[:] = {{path!r}}; from {__name__} import serve; serve({{descriptor}})"
SIZE = struct.Struct("<Q")
READY = b"ready"
SOCKET_BYTES = 4 << 20
PR_SET_PDEATHSIG = 1  # linux/prctl.h
END_S = 5.0
NO_MORE = object()


def read_in_processes(
    cases: Iterable[Case | None],
    read: Callable[[Case], tuple[Record, Any]],
    *,
    processes: int,
    timeout_s: float,
    threads: int,
) -> Generator[Read, None, None]:
    """Give what `read` makes of each case, as each is ready; each process reads one case ahead.

    Parameters
    ----------
    cases
        Where None comes, there may be another later: it is asked again after `ASK_AGAIN_S`.
    read
        Pickled and sent to the processes.
    timeout_s
        After it a process is killed and its case is `READER_HUNG`.
    threads
        That each process computes with.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`: `read` cannot be sent, or the processes do not start.
    """
    pool = _Pool(iter(cases), _payload(read, processes), processes, threads, timeout_s)
    try:
        while pool.fill():
            found = pool.next_answer()
            if found is not None:
                pool.fill()  # the process reads on while the caller has this one in hand
                yield found
                del found
    finally:
        pool.end()


class _Pool:
    """Processes that read, those that have a case and those that wait for one."""

    def __init__(
        self, cases: Iterator[Case | None], payload: bytes, processes: int, threads: int, timeout_s: float
    ) -> None:
        self.cases, self.payload, self.processes = cases, payload, processes
        self.threads, self.timeout_s = threads, timeout_s
        self.busy: list[_Reader] = []
        self.idle: list[_Reader] = []
        self.ended = self.others_read = False  # no case comes; none now, since other runs have them

    def fill(self) -> bool:
        """Give cases to as many processes as there may be; say whether more will come, or be answered."""
        self.others_read = False
        while not self.ended and not self.others_read and len(self.busy) < self.processes:
            case: Any = next(self.cases, NO_MORE)
            self.ended, self.others_read = case is NO_MORE, case is None
            if not self.ended and not self.others_read:
                reader = self.idle.pop() if self.idle else _Reader(self.payload, self.threads)
                self.busy.append(reader)
                reader.give(case, self.timeout_s)
        while self.ended and self.idle:
            self.idle.pop().end()
        return bool(self.busy) or not self.ended

    def next_answer(self) -> Read | None:
        """Wait for a process, and return what became of its case; None where nothing did so far."""
        self.busy.sort(key=lambda reader: reader.deadline)
        until_s = self.busy[0].deadline - time.monotonic() if self.busy else ASK_AGAIN_S
        until_s = max(0.0, min(until_s, ASK_AGAIN_S) if self.others_read else until_s)
        if not self.busy:
            time.sleep(until_s)
            return None
        ready = wait([reader.socket for reader in self.busy], until_s)
        late = time.monotonic()
        n = next((n for n, r in enumerate(self.busy) if r.socket in ready or r.deadline <= late), None)
        found = None if n is None else self.busy[n].take(self.timeout_s, answered=self.busy[n].socket in ready)
        if n is None or found is None:
            return None
        reader = self.busy.pop(n)
        if not reader.ended:
            self.idle.append(reader)
        return found

    def end(self) -> None:
        for reader in (*self.busy, *self.idle):
            reader.end()


def _payload(read: Callable, processes: int) -> bytes:
    if os.name == "nt":
        raise InputError(
            "CONFIG_BAD_VALUE", f"jobs {processes}: more than one does not work on Windows; use jobs 1"
        )
    try:
        return pickle.dumps(read)
    except Exception as error:
        raise InputError(
            "CONFIG_BAD_VALUE", f"jobs {processes}: the preprocessing cannot be sent to a process; use jobs 1"
        ) from error


class _Reader:
    """A process that reads, and the case it reads."""

    def __init__(self, payload: bytes, threads: int) -> None:
        self.socket, theirs = socket.socketpair()
        self.case: Case | None = None
        self.deadline, self.started, self.ended = 0.0, False, False
        for end in (self.socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START.format(path=sys.path, descriptor=theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__ or subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the parent, which ends this one
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )
        with suppress(OSError):  # it died at once: `take` finds out
            _send(self.socket, payload)

    def give(self, case: Case, timeout_s: float) -> None:
        self.case, self.record, self.deadline = case, begun(case), time.monotonic() + timeout_s
        with suppress(OSError):
            _send(self.socket, pickle.dumps(case))

    def take(self, timeout_s: float, *, answered: bool) -> Read | None:
        """Return what became of the case; None for the first answer, which says that the process has started."""
        case, record = self.case, self.record
        assert case is not None
        code, message = "READER_HUNG", f"not read within {timeout_s:g} s; the process was ended"
        if answered:
            try:
                answer, buffers = _receive(self.socket)
                if answer == READY:
                    self.started, self.deadline = True, time.monotonic() + timeout_s
                    return None
                self.case = None
                return case, *pickle.loads(answer, buffers=buffers)
            except (OSError, EOFError):
                code, message = "READER_CRASHED", f"the process that read it died ({self._how_it_ended()})"
        self.end()
        if not self.started:
            raise InputError("CONFIG_BAD_VALUE", f"jobs: a process to read does not start: {message}; use jobs 1")
        self.case = None
        return case, replace(record, codes=(code,), message=message), None

    def _how_it_ended(self) -> str:
        try:
            status = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            return "it closed its socket"
        with suppress(ValueError):
            return signal.Signals(-status).name
        return f"exit status {status}"

    def end(self) -> None:
        self.ended = True
        self.process.kill()
        self.process.wait()
        self.socket.close()


def serve(descriptor: int) -> None:
    """Read cases until the parent is gone; what a reader process runs."""
    if sys.platform == "linux":  # also while a decoder loops for ever
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # where memory runs out, the kernel is to end this one and not the parent
            Path("/proc/self/oom_score_adj").write_text("500")
    with socket.socket(fileno=descriptor) as parent, suppress(EOFError, ConnectionError):
        read = pickle.loads(_receive(parent)[0])
        _send(parent, READY)
        while True:
            case = pickle.loads(_receive(parent)[0])
            buffers: list[pickle.PickleBuffer] = []
            answer = _pickled(read(case), buffers)
            _send(parent, answer, [buffer.raw() for buffer in buffers])
            del buffers, answer


def _send(to: socket.socket, message: bytes, buffers: Sequence[Any] = ()) -> None:
    sizes = [len(message), *(buffer.nbytes for buffer in buffers)]
    to.sendall(b"".join(SIZE.pack(number) for number in (len(sizes), *sizes)))
    for part in (message, *buffers):
        to.sendall(part)


def _receive(source: socket.socket) -> tuple[bytes, list[bytearray]]:
    count = SIZE.unpack(_exactly(source, SIZE.size))[0]
    sizes = [SIZE.unpack(_exactly(source, SIZE.size))[0] for _ in range(count)]
    message, *buffers = (_exactly(source, size) for size in sizes)
    return bytes(message), buffers


def _exactly(source: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        got = source.recv_into(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return data


def _pickled(value: Any, buffers: list[pickle.PickleBuffer]) -> bytes:
    """Pickle with the voxels beside it, uncopied: `Pickler` puts tensors' into the stream."""
    import io

    import numpy as np
    import torch

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is torch.Tensor and obj.device.type == "cpu" and not obj.requires_grad:
                return torch.from_numpy, (obj.numpy(),)
            if isinstance(obj, torch.Tensor) and type(obj).__module__.startswith("monai."):
                return _meta_tensor, (type(obj), obj.as_subclass(torch.Tensor), obj.__dict__)
            if isinstance(obj, np.ndarray) and obj.size > 1 and not any(obj.strides):  # `without_voxels`
                return np.broadcast_to, (obj.flat[0], obj.shape)
            return NotImplemented

    stream = io.BytesIO()
    Pickler(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    return stream.getvalue()


def _meta_tensor(kind: type, tensor: Any, state: dict[str, Any]) -> Any:
    made = kind(tensor)
    made.__dict__.update(state)
    return made
