"""Which trial runs when: a state machine without clock, files or scheduler."""
