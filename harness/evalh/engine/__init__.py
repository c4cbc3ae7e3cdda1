"""Plan, run, and say what is good."""
