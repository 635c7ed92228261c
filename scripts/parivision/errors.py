"""The errors that a user is meant to read: one line that says what, where and what to do."""


class PariVisionError(Exception):
    """Anything that went wrong in a way the user can act on; the command line prints it without a traceback."""


class SourceError(PariVisionError):
    """A source cannot be read, or what it holds cannot be trusted."""


class StoreError(PariVisionError):
    """The store cannot be reached, or refuses what it is asked."""


class Passing(PariVisionError):
    """A fault that may be gone in a minute, such as a server that does not answer: a run tries again, with patience.

    Everything else, wrong data and wrong code above all, fails the same way every time and is not tried again.
    """


class SourceUnreachable(SourceError, Passing):
    """A source's server does not answer, or asks to be left alone for a while."""


class StoreUnreachable(StoreError, Passing):
    """The store's server does not answer, or another process holds its file."""


class ParameterError(PariVisionError):
    """A parameter of the pipeline has a wrong name, type or value."""


class ModelError(PariVisionError):
    """A model file is missing, altered or not of a kind that is loaded."""


class RegistryUnreachable(ModelError, Passing):
    """The MLflow server does not answer."""


class SnapshotError(PariVisionError):
    """A published snapshot is missing or damaged."""
