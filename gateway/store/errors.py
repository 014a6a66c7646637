"""What can go wrong with the database, as one family."""


class StoreError(Exception):
    """Everything the store raises on purpose."""


class StoreUnavailableError(StoreError):
    """The database does not answer now. Nothing is known to be stored; try again."""


class StoreTooSlowError(StoreUnavailableError):
    """The database did not answer within the limit for one statement; ask for less at once."""


class BadValueError(StoreError):
    """The database refuses a value; trying again does not help."""


class BadBatchError(BadValueError):
    """Something in a batch can never be stored; nothing of the batch was. Halve it to find out what."""


class SchemaError(StoreError):
    """The tables are not those of this version; the message says which differ."""
