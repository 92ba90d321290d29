"""Bytes to meaning and back: pure functions and tables, no input or output."""
