"""Numbers with proofs: how far, how often, how much."""
