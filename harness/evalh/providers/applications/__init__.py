"""What is tested may be an application instead of a model: behind HTTP, a program, a Python function."""
