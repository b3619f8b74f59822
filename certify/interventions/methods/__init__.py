"""One intervention per file; the command line names it as the file."""
