"""The last word on counterexamples."""
