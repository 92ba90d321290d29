"""Hostile input by the million: `make fuzz`, and the campaign of `benchmarks/reliability.py`.

`targets` names every reader of files and of the line, with good inputs to start from; `mutate`
spoils them, keyed by target, seed and number, so that every finding can be made again; `line` does
it in bulk for the decoder and the dispatcher; `worker` runs one target in a process of its own,
which may crash, hang or eat memory without taking the campaign with it; `cover` lets atheris look
for new paths through the same targets.
"""
