"""Cases shared by any number of processes: each is taken by one, under a lock that dies with its owner.

A case's mark, a hidden file beside its results, is what is locked. It also holds the hashes of files of the case
that the manifest does not name yet: if the owner is killed, the next run knows them for its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from medseg.cases import Case
from medseg.files import before_rename, sha256_of, try_lock
from medseg.prediction.manifest import Records
from medseg.prediction.record import Record

WRITING = ".writing-"  # and a case's id


def mark_of(output_dir: str | Path, case_id: str) -> Path:
    """Return the path of a case's mark."""
    return Path(output_dir) / f"{WRITING}{case_id}"


def announced(output_dir: str | Path, case_id: str) -> set[str]:
    """Return the hashes of a case's files that may be there without the manifest naming them yet."""
    try:
        return set(mark_of(output_dir, case_id).read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError):
        return set()


class Claims:
    """The cases that this process has in hand.

    Parameters
    ----------
    output_dir
        The folder that is shared.
    new_records
        What is added to its manifest from now on.
    settles
        Says whether a record that another process added is of what is wanted here too: then its case is left.
    """

    def __init__(
        self, output_dir: str | Path, new_records: Records, settles: Callable[[Case, Record], bool]
    ) -> None:
        self.output_dir, self.new_records, self.settles = output_dir, new_records, settles
        self.held: dict[str, int | None] = {}
        self.settled: dict[str, Record] = {}

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        for case_id in list(self.held):  # of a batch that was stopped
            self.release(case_id, keep_mark=bool(announced(self.output_dir, case_id)))

    def take(self, cases: Sequence[Case]) -> Iterator[Case | None]:
        """Yield each case that is taken now, and None whenever all that is left is in other hands.

        A case that another process did meanwhile is not yielded; its record is then in `settled`.
        """
        left: list[Case] = list(cases)
        while left:
            others: list[Case] = []
            for case in left:
                if not self._claim(case["id"]):
                    others.append(case)
                    continue
                added = self.new_records.of(case["id"])
                if added and self.settles(case, added[-1]):
                    self.settled[case["id"]] = added[-1]
                    self.release(case["id"])
                else:
                    yield case
            if others and len(others) == len(left):
                yield None
            left = others

    def _claim(self, case_id: str) -> bool:
        path = mark_of(self.output_dir, case_id)
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:  # a full disk, say: whoever writes the results finds out, and records it
                self.held[case_id] = None
                return True
            locked = try_lock(descriptor)
            if locked is False:
                os.close(descriptor)
                return False
            if os.fstat(descriptor).st_nlink or locked is None:
                self.held[case_id] = descriptor
                return True
            os.close(descriptor)  # its last owner took it away in between

    @contextmanager
    def announcing(self, case_id: str) -> Iterator[None]:
        """Put the hash of each file that is written in the block into the case's mark, before it takes its name.

        Raises
        ------
        InputError
            `OUTPUT_NO_SPACE`, `OUTPUT_UNWRITABLE`.
        """
        path = mark_of(self.output_dir, case_id)

        def tell(part: Path, _: Path) -> None:
            with path.open("ab") as stream:
                stream.write(f"{sha256_of(part)}\n".encode())
                stream.flush()
                os.fsync(stream.fileno())

        token = before_rename.set(tell)
        try:
            yield
        finally:
            before_rename.reset(token)

    def release(self, case_id: str, *, keep_mark: bool = False) -> None:
        """Let a case go, and take its mark away unless files of it are there that no record names."""
        descriptor = self.held.pop(case_id, None)
        path = mark_of(self.output_dir, case_id)
        if not keep_mark:
            with suppress(OSError):
                path.unlink()
        if descriptor is not None:
            os.close(descriptor)


def sweep_marks(output_dir: str | Path, recorded: Collection[str]) -> None:
    """Take away the marks that say nothing: of cases that are recorded, and those that nothing was announced by.

    Killed runs leave them. A mark that a living process has locked stays.
    """
    with suppress(OSError):
        for entry in [entry for entry in os.scandir(output_dir) if entry.name.startswith(WRITING)]:
            with suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDWR)
                try:
                    of_no_use = entry.name[len(WRITING) :] in recorded or os.fstat(descriptor).st_size == 0
                    if of_no_use and try_lock(descriptor):
                        Path(entry.path).unlink()
                finally:
                    os.close(descriptor)
