"""From a failure to a case: what was recorded of it, the row made of it, and the proof that it is red."""
