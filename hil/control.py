"""The door through which `hil stop` reaches a board that another process is using.

The process that has a board open listens on a unix socket of its user; its name is made of the
board's, so that a second process finds it. Whoever connects has the board stopped, at any moment;
only who goes again without a word, to see whether somebody listens, does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import tempfile
import threading
from pathlib import Path

from drivers.ports import SERIAL_NUMBER
from drivers.shared_stream import SharedStream
from hil.config import BenchConfig
from hil.config_stand_in import INSTRUMENTS
from hil.firmware import BOARDS
from protocols.errors import FileError, HilError, LinkTimeout, PortError
from protocols.files import decoded, parse_json
from protocols.messages import SafeReason

ANSWER_S = 10.0
"""Longest that the owner of a board may take to stop it (an emulator on a busy computer)."""
LONGEST_PATH = 100
"""Of a unix socket's name the system takes some hundred bytes; a longer folder is not used."""
_ANSWER_BYTES = 4096
_WORD = b"stop"
_WORD_S = 1.0  # a visitor who says nothing for so long is taken to mean it


def door_of(config: BenchConfig, chip_file: Path | None = None) -> Path:
    """Where the process that has this board listens.

    A board on a line is named by its line, one that is looked for by its serial number by that, a
    simulated one by its chip's file (None: the file of the chip in the bench's socket).
    """
    if config.board in ("sim", INSTRUMENTS, *BOARDS):
        name = f"{config.board} {(chip_file or cells_file(config)).resolve()}"
    else:
        name = str(Path(config.board.removeprefix("serial:")).resolve())
        if "://" in config.board:
            name = config.board
        elif config.board.startswith(SERIAL_NUMBER):
            name = config.board.casefold()
    file = f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.stop"
    path = _folder() / file
    if len(os.fsencode(path)) > LONGEST_PATH:
        path = _common_folder() / file
    return path


def cells_file(config: BenchConfig) -> Path:
    """Where the simulated chip in this bench's socket lives; a real one has its folder there."""
    return config.chip.folder / config.chip.id / "cells.chip"


def _folder() -> Path:
    own = os.environ.get("XDG_RUNTIME_DIR")
    return Path(own) / "hil" if own else _common_folder()


def _common_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"hil-{os.getuid()}"


class Door:
    """Listens in a thread of its own, and stops the board for whoever connects.

    `trouble` is why nobody can connect, None where somebody can. `also` is another name of the
    same door.
    """

    def __init__(self, path: Path, stream: SharedStream, also: Path | None = None) -> None:
        self.path, self._also = path, also
        self.trouble: str | None = None
        self._stream = stream
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._bind()
        except OSError as error:
            self._listener.close()
            self.trouble = f"hil stop cannot reach this process ({path}: {error})"
            return
        self._thread = threading.Thread(target=self._serve, name="hil stop", daemon=True)
        self._thread.start()

    def _bind(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.path.parent} belongs to somebody else")
        if _is_dead(self.path):
            self.path.unlink(missing_ok=True)
        self._listener.bind(str(self.path))
        self.path.chmod(0o600)
        self._listener.listen(4)
        if self._also is not None:
            self._also.unlink(missing_ok=True)
            self._also.symlink_to(self.path)

    def _serve(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return  # closed
            with visitor, contextlib.suppress(OSError):
                if _means_it(visitor):
                    visitor.sendall(self._answer() + b"\n")

    def _answer(self) -> bytes:
        try:
            return json.dumps({"safe_reason": self._stream.stop().name}).encode()
        except HilError as error:
            return json.dumps({"error": str(error)}).encode()

    def close(self) -> None:
        """Listen no more. Closing twice is allowed."""
        if self.trouble is not None:
            return
        self.trouble = "closed"
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(ANSWER_S)
        for path in (self.path, self._also):
            if path is not None:
                path.unlink(missing_ok=True)


def _means_it(visitor: socket.socket) -> bool:
    """Whether a visitor wants the board stopped: all do but those who hang up without a word."""
    visitor.settimeout(_WORD_S)
    try:
        return bool(visitor.recv(len(_WORD)))
    except TimeoutError:
        return True


def _is_dead(path: Path) -> bool:
    """Whether a process that has ended left this behind; a living one is not disturbed."""
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def stop_through(path: Path) -> SafeReason | None:
    """Have the process behind this door stop its board; None where nobody has it open.

    Raises:
        LinkTimeout: the process does not answer.
        PortError: it could not stop the board; the text says why.
    """
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(ANSWER_S)
        try:
            caller.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            caller.sendall(_WORD)
            answer = caller.recv(_ANSWER_BYTES)
        except OSError as error:
            raise _silent(error) from error
    return reason_in(answer)


def _silent(why: object) -> LinkTimeout:
    return LinkTimeout(
        f"the process that uses the board does not answer ({why}); switch the supply off"
    )


def reason_in(content: bytes) -> SafeReason:
    """The reason in the answer of a process that was asked to stop its board.

    Raises:
        LinkTimeout: it is no answer.
        PortError: the board could not be stopped; the text says why.
    """
    try:
        found = parse_json(decoded(content or b"{}"))
    except FileError as error:
        raise _silent(error) from error
    answer = found if isinstance(found, dict) else {}
    reason = {kind.name: kind for kind in SafeReason}.get(str(answer.get("safe_reason")))
    if reason is None:
        raise PortError(f"the process that uses the board: {answer.get('error', 'ended')!s:.500}")
    return reason
