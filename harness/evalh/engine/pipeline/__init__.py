"""Run pipelines: each sample walks through the steps."""
