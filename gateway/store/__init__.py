"""The database: the only package that knows its driver."""

from gateway.store.accounts import Accounts
from gateway.store.capability import Capability
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
from gateway.store.numbering import Numbering
from gateway.store.rollups import RolledUp, RollerBusyError, Rollups, RollupState
from gateway.store.rows import (
    Account,
    AuditEntry,
    Batch,
    BrokerLogin,
    Keeping,
    NumberedBatch,
    Point,
    Redelivery,
    RejectedRow,
    Remembered,
    Series,
    Session,
    SourceMark,
    Written,
)
from gateway.store.series import Past, SeriesReads
from gateway.store.streaming import Streaming
from gateway.store.writing import Writing


class Store(Rollups, Writing, Machines, Numbering, SeriesReads, Streaming, Incidents, Accounts, Migrating):
    """Everything the database keeps. Open it, migrate it, use it, close it."""


__all__ = [
    "Account",
    "AuditEntry",
    "BadBatchError",
    "BadValueError",
    "Batch",
    "BrokerLogin",
    "Capability",
    "Keeping",
    "NumberedBatch",
    "Past",
    "Point",
    "Redelivery",
    "RejectedRow",
    "Remembered",
    "RolledUp",
    "RollerBusyError",
    "RollupState",
    "SchemaError",
    "Series",
    "Session",
    "SourceMark",
    "Store",
    "StoreError",
    "StoreTooSlowError",
    "StoreUnavailableError",
    "Written",
]
