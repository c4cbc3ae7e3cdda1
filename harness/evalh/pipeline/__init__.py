"""Steps: what is asked, in which order, with which data."""
