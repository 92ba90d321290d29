"""The headline as tables of text: one row fills one of the three columns of time, never two."""

from __future__ import annotations

from hil.report.headline.data import HeadlineData, ModelledRow, TaskRow, factors
from hil.report.tables import Table
from hil.report.text import number, si

NONE = ""
UNKNOWN = "unknown"


def title(task: TaskRow) -> str:
    """For headings."""
    kind = "conditional" if task.is_conditional else "unconditional"
    return f"{task.model} ({kind})"


def overview(task: TaskRow, *, simulated: bool) -> Table:
    """The table of one task: who takes how long, on which clock, and what the chip gains on it."""
    chip, found = task.modelled, factors(task)
    lines = [
        (
            f"{row.name}, {row.steps:,} steps",
            f"{si(row.batch_seconds, 's')} | {si(row.single_seconds, 's')}",
            NONE,
            NONE,
            UNKNOWN if row.joules is None else si(row.joules, "J"),
            f"{times(batch.speed)} | {times(single.speed)}",
        )
        for row, batch, single in zip(task.software, found[::2], found[1::2], strict=True)
    ]
    clock = "bench, simulated clock" if simulated else "bench"
    if task.bench is None:
        lines.append((f"{clock}: one board's loop cannot hold this network", *(NONE,) * 5))
    else:
        lines.append((clock, NONE, si(task.bench.seconds, "s"), NONE, UNKNOWN, NONE))
    lines.append(("modelled chip", NONE, NONE, _chip_time(chip), chip_joules(chip), "1"))
    header = (
        "one sample",
        "host time: in a batch | alone",
        "bench time",
        "modelled chip time",
        "energy",
        "modelled chip is faster by",
    )
    note = (
        f"Equal quality: 1-D KL at most {1 + task.tolerance:g} times the "
        f"{number(task.reference_kl)} of {task.reference_steps:,} steps. A factor below 1 says "
        "that the chip is slower."
    )
    return Table(title(task), header, tuple(lines), note, (len(lines) - 1,))


def times(factor: float | None, digits: int = 3) -> str:
    """A factor: 64.8 ×."""
    if factor is None:
        return UNKNOWN
    return f"{factor:.{digits}g} ×" if factor < 1000 else f"{factor:,.0f} ×"


def _chip_time(chip: ModelledRow) -> str:
    if chip.seconds is None:
        return UNKNOWN
    return si(chip.seconds, "s") + (" (assumed)" if chip.is_assumed else "")


def chip_joules(chip: ModelledRow) -> str:
    """The energy with what it rests on."""
    energy = chip.energy
    if energy.joules is None:
        return UNKNOWN
    least = "" if energy.is_complete else "at least "
    assumed = " (assumed)" if energy.assumed else ""
    return f"{least}{si(energy.joules, 'J')}{assumed}"


def quality(task: TaskRow) -> Table:
    """What the samples of each form are worth."""
    lines = tuple(
        (
            f"{row.name}, {row.steps:,} steps" + ("" if row.found else " (as published)"),
            number(row.kl_1d, 5),
            number(row.sliced_w1, 5),
        )
        for row in task.software
    )
    note = (
        "The published figure of merit, the 1-D KL, sets the fewest steps. It is a blunt one: the "
        "sliced Wasserstein-1 distance beside it is what the samples lose by fewer steps."
    )
    return Table("Quality of the software's samples", ("", "KL, 1-D", "sliced W₁"), lines, note)


def energy(task: TaskRow) -> Table:
    """The modelled chip line by line."""
    chip = task.modelled.energy
    lines = tuple(
        (
            part.name,
            number(part.count),
            UNKNOWN if part.watts is None else si(part.watts, "W"),
            UNKNOWN if part.joules is None else si(part.joules, "J"),
            part.origin,
        )
        for part in chip.parts
    )
    total = ("sum", NONE, NONE, chip_joules(task.modelled), NONE)
    note = ""
    if not chip.is_complete:
        note = f"Unknown: {', '.join(chip.unknown)}. The sum is a lower bound."
    header = (
        "component",
        "pieces",
        "power each",
        "energy per sample",
        "source, or what is missing",
    )
    caption = "Energy of a sample on the modelled chip"
    return Table(caption, header, (*lines, total), note, (len(lines),))


def published(task: TaskRow) -> Table:
    """What is stated for a task of this kind, beside the factors found here."""
    lines = tuple(
        (
            each.source,
            times(each.speed_up, 4),
            f"÷ {each.ratio:.3g}" if each.ratio is not None else UNKNOWN,
            si(each.software_seconds, "s"),
            si(each.chip_seconds, "s"),
            si(each.software_joules, "J"),
            si(each.chip_joules, "J"),
        )
        for each in task.published
    )
    header = (
        "stated by",
        "speed-up",
        "energy",
        "software time",
        "chip time",
        "software energy",
        "chip energy",
    )
    note = "Against which computer, with how many steps and in which batch, the sources do not say."
    return Table("What the published system states", header, lines, note)


def gains(task: TaskRow) -> Table:
    """Every factor with its baseline."""
    lines = tuple(
        (
            factor.baseline,
            times(factor.speed),
            UNKNOWN
            if factor.energy is None
            else ("at most " if factor.energy_at_most else "") + f"÷ {factor.energy:.3g}",
        )
        for factor in factors(task)
    )
    return Table(
        "The modelled chip against each baseline", ("against", "faster by", "energy"), lines
    )


def facts(data: HeadlineData) -> dict[str, str]:
    """Where the figures come from."""
    return {
        **data.computer,
        "power of this computer": data.power_source,
        "component figures": data.components_file,
        "bench": "simulated" if data.bench_simulated else "measured",
    }
