"""What can go wrong while a recording is read."""


class RecordingError(ValueError):
    """The file cannot be read as asked; the message says in which line and which option would help."""
