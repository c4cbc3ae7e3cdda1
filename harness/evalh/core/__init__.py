"""Values and rules. No I/O; imports nothing of evalh but itself."""
