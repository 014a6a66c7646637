"""What can go wrong with the database, as one family."""

from collections.abc import Sequence

from broker.telemetry import Row


class StoreError(Exception):
    """Everything the store raises on purpose."""


class StoreUnavailableError(StoreError):
    """The database does not answer now. Nothing is known to be stored; try again."""


class StoreTooSlowError(StoreUnavailableError):
    """A statement took longer than it may, so nothing of it was done: ask for less at once, halve a batch."""


class BadValueError(StoreError):
    """The database refuses a value; trying again does not help."""


class BadRowsError(BadValueError):
    """Rows of a batch can never be stored; `rows` are all of those, the very objects that were handed in."""

    def __init__(self, message: str, rows: Sequence[Row]) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class BadBatchError(BadValueError):
    """Something in a batch can never be stored; nothing of the batch was.

    `rows` are those to blame, so that the rest can be stored without them; where there are none it could not
    be told: halve the batch to find out.
    """

    def __init__(self, message: str, rows: Sequence[Row] = ()) -> None:
        super().__init__(message)
        self.rows = tuple(rows)


class SchemaError(StoreError):
    """The tables are not those of this version; the message says which differ."""
