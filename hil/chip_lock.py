"""One writer per chip: a lock that ends with the process that has it, however that ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from protocols.errors import ChipBusyError, RecordError


class ChipLock:
    """Held from the moment it is made until `close`, or until the process is gone."""

    def __init__(self, folder: Path) -> None:
        """Takes the lock of the chip that has this folder.

        Raises:
            ChipBusyError: another process has it; names the process.
            RecordError: the folder cannot be written.
        """
        path = folder / "in-use"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RecordError(
                f"{path}: the chip's lock cannot be made ({error}); name a chip folder that may be"
                " written in the bench file (chip: {folder: ...})"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise ChipBusyError(
                f"{folder.name}: process {owner} has this chip; wait for it to end, or use hil stop"
            ) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let others have the chip. Closing twice is allowed."""
        if self._fd >= 0:
            os.close(self._fd)  # and with it goes the lock
            self._fd = -1
