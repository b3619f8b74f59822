"""Facts about operators: forward, adjoint, intervals, relaxations; one family per file."""
