"""What a batch may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from medseg.errors import InputError


@dataclass(frozen=True)
class Resources:
    """What a batch may use of the machine.

    Attributes
    ----------
    device
        ``auto`` (each GPU there is, else the CPU), ``cpu``, ``cuda`` or ``cuda:n``.
    jobs
        Processes that read and preprocess; with 1 a thread does it, and there is no process but this.
    read_timeout_s
        Where processes read, how long one may take for a case before it is ended; a thread cannot be.
    budget_mib
        How large this process may grow; 0 for what is free, less a tenth. See `medseg.infer.label_image`.

    Raises
    ------
    InputError
        `CONFIG_BAD_VALUE`.
    """

    device: str = "auto"
    jobs: int = 1
    read_timeout_s: float = 600
    budget_mib: float = 0

    def __post_init__(self) -> None:
        if int(self.jobs) < 1 or not self.read_timeout_s > 0 or not self.budget_mib >= 0:
            raise InputError(
                "CONFIG_BAD_VALUE",
                f"jobs {self.jobs}, read_timeout_s {self.read_timeout_s}, budget_mib {self.budget_mib}: they must "
                "be at least 1, above 0, and at least 0",
            )
