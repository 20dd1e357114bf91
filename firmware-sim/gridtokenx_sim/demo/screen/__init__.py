"""What the demo shows: the state that it observes, and the picture of it."""
