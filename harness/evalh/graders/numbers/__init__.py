"""The grader `number`, and how numbers are read from text."""
