"""The errors that a user is meant to read: one line that says what, where and what to do."""


class PariVisionError(Exception):
    """Anything that went wrong in a way the user can act on; the command line prints it without a traceback."""


class SourceError(PariVisionError):
    """A source cannot be read, or what it holds cannot be trusted."""


class StoreError(PariVisionError):
    """The store cannot be reached, or refuses what it is asked."""


class ParameterError(PariVisionError):
    """A parameter of the pipeline has a wrong name, type or value."""


class ModelError(PariVisionError):
    """A model file is missing, altered or not of a kind that is loaded."""


class SnapshotError(PariVisionError):
    """A published snapshot is missing or damaged."""
