"""One function per figure: report data in, a matplotlib figure out. Nothing here opens a window.

Each function draws one section of `ReportData` and needs that section to be there.
"""

from hil.report.figures.loop import budget_rows, error_budget, layers, trajectories, waveforms
from hil.report.figures.programming import conductance_maps, errors, forming, pulses
from hil.report.figures.samples import class_distances, pictures, radius_and_angle, samples

__all__ = [
    "budget_rows",
    "class_distances",
    "conductance_maps",
    "error_budget",
    "errors",
    "forming",
    "layers",
    "pictures",
    "pulses",
    "radius_and_angle",
    "samples",
    "trajectories",
    "waveforms",
]
