"""How numbers become volts and weights become pulses: parameters, run, result."""
