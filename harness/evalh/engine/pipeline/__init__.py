"""Running pipelines: samples that walk through steps."""
