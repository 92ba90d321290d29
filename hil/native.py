"""The firmware in this process: its shared library, in front of simulated physics."""

from __future__ import annotations

import ctypes
import weakref
from functools import cache
from pathlib import Path

from drivers.stream import MemoryStream
from hil.firmware import LIBRARY, built, built_for
from hil.sim.virtual import VirtualFrontEnd
from hil.uninterrupted import uninterrupted
from protocols.errors import FirmwareError, PortError

API = 1
"""FW_HOST_API of fw_host.h."""

_OUT_BYTES = 1 << 16
_EXCHANGE = ctypes.CFUNCTYPE(
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_void_p,
    ctypes.c_size_t,
)


@cache
def _library(path: Path) -> ctypes.CDLL:
    """The library with the types of firmware/ports/host/fw_host.h."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise FirmwareError(f"{path} cannot be loaded: {error}") from error
    library.fw_host_api.restype = ctypes.c_uint32
    if library.fw_host_api() != API:
        raise FirmwareError(
            f"{path} has interface {library.fw_host_api()}, {API} is needed; build firmware and "
            "host from one checkout"
        )
    library.fw_host_create.restype = ctypes.c_void_p
    library.fw_host_create.argtypes = [_EXCHANGE, ctypes.c_void_p]
    library.fw_host_destroy.restype = None
    library.fw_host_destroy.argtypes = [ctypes.c_void_p]
    for name in ("fw_host_feed", "fw_host_take"):
        function = getattr(library, name)
        function.restype = ctypes.c_size_t
        function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.fw_host_time_ns.restype = ctypes.c_uint64
    library.fw_host_time_ns.argtypes = [ctypes.c_void_p]
    return library


def _built(front_end: VirtualFrontEnd | None) -> Path:
    if front_end is None:
        return built("native", LIBRARY)
    return built_for("native", LIBRARY, front_end.machine.description)


class NativeBoard:
    """One board; there may be any number in a process, one thread at a time each.

    Without a front end it has the library's built-in stub, whose readings mean nothing.
    """

    def __init__(self, front_end: VirtualFrontEnd | None = None) -> None:
        """Powers the board up.

        Raises:
            FirmwareError: the library cannot be built or loaded.
            ConfigError: it was built for another board than the front end has.
        """
        self.front_end = front_end
        self._trouble: BaseException | None = None
        self._library = _library(_built(front_end))
        # Kept, because the library calls it as long as the board lives.
        self._exchange = _EXCHANGE(0) if front_end is None else _EXCHANGE(self._answer)
        self._board: int | None = self._library.fw_host_create(self._exchange, None)
        self._out = ctypes.create_string_buffer(_OUT_BYTES)
        self._raise_trouble()
        if not self._board:
            raise FirmwareError("native: the board did not power up; there is no memory for it")
        self._destroy = weakref.finalize(self, self._library.fw_host_destroy, self._board)

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the line; the bytes of the answers. Any input is allowed.

        Raises:
            PortError: the board was closed.
            HilError: what went wrong in the front end; the board has latched a fault.
        """
        if self._board is None:
            raise PortError("native: the board was switched off; open it again")
        self._library.fw_host_feed(self._board, data, len(data))
        self._raise_trouble()
        out = b""
        while taken := self._library.fw_host_take(self._board, self._out, _OUT_BYTES):
            out += self._out.raw[:taken]
        return out

    @property
    def time_ns(self) -> int:
        """The board's own time since power-up."""
        if self._board is None:
            raise PortError("native: the board was switched off; open it again")
        return int(self._library.fw_host_time_ns(self._board))

    def close(self) -> None:
        """Switch the board off. Closing twice is allowed."""
        self._board = None
        self._destroy()

    def _answer(
        self, _context: int, request: int, length: int, response: int, capacity: int
    ) -> int:
        """One transaction, called by the library. What is raised has to wait: C cannot pass it."""
        if self.front_end is None:
            return 0
        try:
            out = self.front_end.answer(ctypes.string_at(request, length))
        except BaseException as error:  # noqa: BLE001 - raised again when the library returns
            self._trouble = error
            return 0
        if len(out) <= capacity:
            ctypes.memmove(response, out, len(out))
        return len(out)

    def _raise_trouble(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble


class NativeStream(MemoryStream):
    """The line to a board in this process; closing it switches the board off."""

    def __init__(self, board: NativeBoard) -> None:
        super().__init__(uninterrupted(board.receive), "native")
        self._board = board

    def close(self) -> None:
        """Refuse further use."""
        super().close()
        self._board.close()
