"""The whole exception tree of the project on one page.

Every error that a user can meet derives from `HilError`. A message says what happened, to which
cell, board or file, and what to do about it. `exit_code` is what the command line returns; the
table in the README is made of these numbers.
"""

from __future__ import annotations


class HilError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code = 1


# --- what the user handed over ---------------------------------------------------------------


class InputError(HilError):
    """Something that the user wrote cannot be used. Nothing was sent to a board."""

    exit_code = 2


class FileError(InputError):
    """A file is missing, too large, or not in the form that its reader needs.

    Readers turn it into the error of their own kind, which names the file.
    """


class ConfigError(InputError):
    """A bench file is missing, unreadable or holds a key or value that is not allowed."""


class ModelError(InputError):
    """A model (weight) file is missing, damaged, of the wrong shape or not finite."""


class DataError(InputError):
    """A measurement or data file is missing, damaged or not what its name promises."""


class MappingError(InputError):
    """A network does not fit the hardware of the bench file; the text says what is missing."""


class TargetError(InputError):
    """A conductance target is outside the window that the cells can be programmed to."""


# --- this computer ---------------------------------------------------------------------------


class KernelError(HilError):
    """The simulator's compiled kernel cannot be built or loaded on this computer."""

    exit_code = 2


# --- the line --------------------------------------------------------------------------------


class ProtocolError(HilError):
    """Bytes that are not a message, or a message that its description does not allow."""

    exit_code = 3


class FrameError(ProtocolError):
    """A frame could not be decoded (length, COBS or CRC)."""


class MessageError(ProtocolError):
    """A message's field is missing, out of range or of the wrong length."""


class LinkError(HilError):
    """The line to the board does not work."""

    exit_code = 4


class PortError(LinkError):
    """The port cannot be opened, or it was closed or unplugged."""


class LinkTimeout(LinkError):
    """The board did not answer within the time and the number of repetitions allowed."""


class SessionLost(LinkError):
    """The board no longer knows this session: acts in flight have an unknown outcome."""


class FirmwareError(LinkError):
    """The firmware of this checkout cannot be built or started on this computer."""


class HandshakeError(LinkError):
    """The board is there, but it speaks another protocol version or message table."""


# --- instruments -----------------------------------------------------------------------------


class InstrumentError(HilError):
    """A laboratory instrument cannot be used, or reports an error of its own."""

    exit_code = 4


class NoInstrument(InstrumentError):
    """The bench file names no instrument for a role that is needed, or nothing is there."""


class WrongInstrument(InstrumentError):
    """Another instrument answers at the address than the bench file names, or one unknown here."""


class InstrumentTimeout(InstrumentError):
    """The instrument did not answer, or nothing triggered it, within the time allowed."""


class NotTriggered(InstrumentTimeout):
    """An oscilloscope answers, but nothing has triggered it: there was no such edge."""


class InstrumentLost(InstrumentError):
    """The instrument was unplugged or switched off: the state of its outputs is unknown."""


class ComplianceError(InstrumentError):
    """An output was to go on without a current limit, or a current limit was reached."""


# --- the board -------------------------------------------------------------------------------


class BoardError(HilError):
    """The board refused a request. `status` is the wire's status code, `request` its name."""

    exit_code = 5

    def __init__(self, message: str, *, status: int = 0, request: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.request = request


# --- limits and safety -----------------------------------------------------------------------


class LimitError(HilError):
    """A voltage, width, pulse count or time is over a limit; nothing was driven."""

    exit_code = 6


class SafetyError(HilError):
    """The board is in its safe state (stop, watchdog, fault) or not armed."""

    exit_code = 7


class UnconfirmedError(SafetyError):
    """Outputs or supplies were told to be safe, and could not be seen to be."""


# --- the chip --------------------------------------------------------------------------------


class ChipError(HilError):
    """The chip is not in the state that the request needs."""

    exit_code = 8


class NotFormedError(ChipError):
    """Cells that were never formed were asked to hold a conductance."""


class ChipBusyError(ChipError):
    """Another process holds this chip's lock."""


class CalibrationError(HilError):
    """A calibration did not converge, or one that is needed is missing or too old."""

    exit_code = 9


# --- records ---------------------------------------------------------------------------------


class RecordError(HilError):
    """A run folder or journal cannot be written or read."""

    exit_code = 10


# --- clusters --------------------------------------------------------------------------------


class ClusterError(HilError):
    """A cluster's scheduler cannot be reached, or its workers cannot do what a study needs."""

    exit_code = 11
