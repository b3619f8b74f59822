"""One bound method per file."""
