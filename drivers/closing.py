"""What is closed when its block is left, and does not hide what ended the block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from protocols.errors import HilError


class Closing:
    """A context manager of what has a `close`.

    An error of `close` is raised where nothing else went wrong; else it is a note of what did.
    """

    def close(self) -> None:
        """Ends it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._close_after(error)

    def _close_after(self, error: BaseException) -> None:
        """Closes on the way out of a failure; a second failure does not hide the first."""
        try:
            self.close()
        except HilError as closing:
            error.add_note(f"While closing: {closing}")
