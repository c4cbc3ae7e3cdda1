"""What a gate tests, and what it decides."""
