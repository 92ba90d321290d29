"""What a picture of the acceptance sheet is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

Data = Mapping[str, Any]
MICRO, MILLI, NANO = 1e6, 1e3, 1e9


@dataclass(frozen=True)
class Picture:
    """A figure of one stage: file name, title, caption, and how it is drawn from data.

    Attributes:
        needs: keys of the stage's data without which it cannot be drawn.
    """

    name: str
    stage: str
    title: str
    caption: str
    needs: tuple[str, ...]
    draw: Callable[[Data, bool], Figure]
