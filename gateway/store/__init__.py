"""The database: the only package that knows its driver."""

from gateway.store.accounts import Accounts
from gateway.store.errors import (
    BadBatchError,
    BadValueError,
    SchemaError,
    StoreError,
    StoreTooSlowError,
    StoreUnavailableError,
)
from gateway.store.incidents import Incidents
from gateway.store.machines import Machines
from gateway.store.migrations import Migrating
from gateway.store.rows import (
    Account,
    ArrivedReading,
    AuditEntry,
    Batch,
    BrokerLogin,
    Point,
    RejectedRow,
    Remembered,
    Series,
    Session,
    Written,
)
from gateway.store.series import SeriesReads
from gateway.store.writing import Writing


class Store(Writing, Machines, SeriesReads, Incidents, Accounts, Migrating):
    """Everything the database keeps. Open it, migrate it, use it, close it."""


__all__ = [
    "Account",
    "ArrivedReading",
    "AuditEntry",
    "BadBatchError",
    "BadValueError",
    "Batch",
    "BrokerLogin",
    "Point",
    "RejectedRow",
    "Remembered",
    "SchemaError",
    "Series",
    "Session",
    "Store",
    "StoreError",
    "StoreTooSlowError",
    "StoreUnavailableError",
    "Written",
]
