"""A gate's loop: both sides are asked, batch by batch, until the answer is sure."""
