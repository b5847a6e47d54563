"""This host: what it can do, which provider fits it, and the sandbox where no Docker daemon answers."""
