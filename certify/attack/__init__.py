"""Looking for counterexamples: an attack guesses, it claims nothing."""
