"""The groups of the `parivision` command, one module each; `cli` puts them together."""
