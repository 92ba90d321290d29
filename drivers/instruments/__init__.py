"""Laboratory instruments: one small interface per kind, one file per model, PyVISA below."""
