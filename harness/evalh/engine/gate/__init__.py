"""A gate's loop: ask both sides, batch by batch, until more cases would not change the decision."""
