"""A resistive-memory macro: its cells, their limits, pulses, and reads in siemens."""
