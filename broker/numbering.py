"""A source's own number for a message: what counts holes and tells it what it may forget."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from broker.topics import LEVELS

NUMBERING_FIELDS: Final = ("seq", "boot")
CLIENT_FIELD: Final = "client"
"""Belongs to the numbering where both NUMBERING_FIELDS are there; elsewhere a field like any other."""
MAX_BOOT: Final = 64

_SEQ_BELOW: Final = 2**63
_SEQ_DIGITS: Final = 19
_BOOT_BELOW: Final = 10**MAX_BOOT


class Number(msgspec.Struct, frozen=True, gc=False):
    """`seq` rises by one a message within one `boot` of `client`; 0 <= seq < 2**63."""

    client: str
    boot: str
    seq: int


def number_of(user_properties: Iterable[tuple[str, str]], machine: str) -> Number | None:
    """Return the number that MQTT 5 user properties `client`, `boot` and `seq` give, or None.

    The client is `machine` where no property names one. Of a property given twice the last one counts.
    """
    given = dict(user_properties)
    seq = given.get("seq", "")
    if not (seq.isascii() and seq.isdigit() and len(seq) <= _SEQ_DIGITS):
        return None
    return _number(given.get("client", machine), given.get("boot"), int(seq))


def number_in(fields: Mapping[str, object], machine: str) -> Number | None:
    """Return the number that the fields `seq`, `boot` and `client` of a payload give, or None."""
    if "seq" not in fields or "boot" not in fields:
        return None
    return _number(fields.get("client", machine), fields["boot"], fields["seq"])


def _number(client: object, boot: object, seq: object) -> Number | None:
    if type(boot) is int and abs(boot) < _BOOT_BELOW:
        boot = str(boot)
    if not (isinstance(boot, str) and 1 <= len(boot) <= MAX_BOOT and boot.isprintable()):
        return None
    if type(seq) is not int or not 0 <= seq < _SEQ_BELOW:
        return None
    if not (isinstance(client, str) and LEVELS["client"].fullmatch(client)):
        return None
    return Number(client, boot, seq)
