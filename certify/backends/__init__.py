"""Ways to prove, behind one interface; one file each."""
