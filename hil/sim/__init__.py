"""The simulated board and the physics behind it: the other end of the wire."""
