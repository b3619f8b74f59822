"""The command line: flags in, one call, text out. No mathematics."""
