"""One study a file, each with `study(data)`."""
