"""The machines: what Vagrant is told about them, Vagrant itself, and how to reach each over SSH."""
