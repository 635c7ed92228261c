"""Everything of a workspace in one file, and back: on another machine, and from one store to the other."""
