"""What a person asks a bench to do, one job per file; the command line and notebooks call them.

A job takes an open bench and a run folder, does one thing through drivers and calibration, and
leaves its results in the folder.
"""
