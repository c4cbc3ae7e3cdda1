"""The grader kind `javascript`: the code of an entry or a file, in an engine that can reach nothing."""
