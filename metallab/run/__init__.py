"""One way to run a command (here or on a machine) and one place that waits."""
