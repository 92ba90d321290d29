"""Which chip is in the socket, as the bench file says it: the section `chip`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Words = Annotated[str, Field(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line of text: what stands on a label, or a name."""
Celsius = Annotated[float, Field(ge=-100.0, le=200.0)]


class ChipSection(BaseModel):
    """Which chip is in the socket. Records, wear and the lock are keyed by `id`.

    The rest says where it came from and goes into every record; `die` as the wafer map has it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    id: Name = "sim-001"
    folder: Path = Path("chips")
    wafer: Words = ""
    die: Words = ""
    package: Words = ""
    label: Words = ""

    def facts(self) -> dict[str, str]:
        """Id and origin, for a record; what the file does not say is left out."""
        return {k: str(v) for k, v in self.model_dump(exclude={"folder"}).items() if v}
