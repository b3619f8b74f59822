"""VNN-LIB 1.0 and 2.0: reading, the abstract syntax, lowering to regions with formulas over linear atoms, writing."""
