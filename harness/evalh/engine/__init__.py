"""Plan a run, execute it, and judge its samples."""
