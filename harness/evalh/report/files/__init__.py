"""Results as files for other programs: JUnit, CSV."""
