"""What is connected: one class per thing, one method per thing that it does, SI units."""
