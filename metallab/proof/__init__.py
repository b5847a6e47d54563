"""The proof: what the client machine really saw, kept as evidence. Records first, rendering apart."""
