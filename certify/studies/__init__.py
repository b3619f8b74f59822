"""Studies: the whole experiment on one data set, from training to one page of results."""
