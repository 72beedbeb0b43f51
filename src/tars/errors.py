"""The two ways in which a command ends badly. Each message is one line: the thing, the place, the remedy."""


class InputError(Exception):
    """What the user gave cannot be used; nothing was started. The command line exits with 2."""


class RunError(Exception):
    """Work that had started could not go on; what was written before is kept. The command line exits with 1."""
