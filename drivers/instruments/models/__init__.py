"""One file per model: its identity, its ratings and its commands, from its programming manual."""
