"""Write a profile as YAML, with a header that says where its figures come from."""

from __future__ import annotations

from pathlib import Path

import yaml

from hil.sim.profile import Profile
from protocols.errors import DataError

HEADER = """\
# Statistics of a 1T1R resistive memory technology, for the simulated chip. SI units.
#
# Fitted by `hil sim fit DATA_FOLDER` to the public measurements of
#   A. Levy et al., "RADAR: A Fast and Energy-Efficient Programming Technique for Multiple
#   Bits-Per-Cell RRAM Arrays", IEEE TED 2021, doi 10.1109/TED.2021.3097975.
# The technology of the macro in the paper that this project reproduces is not known (180 nm is all
# that is stated); this one stands in for it. No figure here was measured on that macro.
#
# Fitted: forming (quantiles), set, reset, drive (reset voltages), relaxation (sigma, tail),
#   read_noise, endurance (loss per decade). `reached` holds, for each figure that was compared,
#   what was measured and what the simulated protocol gives.
# Assumptions of this project, because no table says them:
#   - pristine conductance (10 Mohm is stated for a sibling chip) and its spread;
#   - forming: the pulse width behind the table (1 us), volts per decade of width, the gate
#     threshold, and that the word line limits the formed conductance as it limits SET;
#   - set: the bit-line curve below 166 uS (its sweeps start there); pulses shorter than 100 ns
#     (extended in log width) and longer than 10 us (as 10 us); at 200 ns below 166 uS the 400 ns
#     staircase, to which the 200 ns sweeps join (ten cells of another table, at VBL 3.3 V, need
#     some 0.2 V more there); one upper end for all widths from 200 ns (the tables differ by 8 %
#     there, being of different chips);
#   - reset: volts per decade of width (all tables are at 200 ns); how far an aim above the
#     present state still disturbs it;
#   - drive: its skew, limit and share in SET were read off the per-cell figures by hand;
#   - the time base: a verify read 1 ms after its pulse, the next pulse 0.2 s later. Together with
#     relaxation.onset_s it turns the measured movement between two readings into a law per
#     decade of time. Room-temperature relaxation in logarithmic time is itself an assumption;
#   - drift: the mean shift in a bake (30 min, 80 C) is spread over 11.5 decades of time;
#   - read noise above 200 uS as between 150 and 200 uS;
#   - faults: none are in the tables (every tabled cell formed), so all fractions are 0;
#   - bounds.
"""


def profile_text(profile: Profile) -> str:
    """The YAML text of a profile, header included."""
    body = yaml.safe_dump(
        profile.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=100
    )
    return HEADER + body


def write_profile(profile: Profile, path: Path) -> None:
    """Write `profile` to `path`. Raises DataError when the file cannot be written."""
    try:
        Path(path).write_text(profile_text(profile), encoding="utf-8")
    except OSError as error:
        raise DataError(f"Profile {path} cannot be written: {error}.") from error
