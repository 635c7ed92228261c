"""`python -m parivision`: the same as the `parivision` command, which a path with spaces can't start."""

from parivision.cli import main

main()
