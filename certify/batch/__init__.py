"""Many instances: reading lists of them, running each in a process, scoring what came of it."""
