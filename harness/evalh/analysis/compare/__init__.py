"""Two sides over the same cases: pairing, differences, the verdict."""
