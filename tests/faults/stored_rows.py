"""What the database itself holds, read past the product: times of arrival, refusals, marks kept right."""

from collections import Counter
from datetime import datetime

import psycopg


def samples(database_url: str, machine: str, metric: str) -> list[tuple[datetime, datetime, float]]:
    """Return (ts, arrived, value) of a machine's readings in the order they are at."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            """
            SELECT sample.ts, sample.arrived, sample.values[series.slot]
            FROM machine JOIN series USING (machine) JOIN sample ON machine_id = machine.id
            WHERE machine.machine = %s AND metric = %s AND sample.values[series.slot] IS NOT NULL
            ORDER BY sample.ts
            """,
            (machine, metric),
        ).fetchall()


def count_up_to(database_url: str, machines: list[str], metric: str, most: float) -> int:
    """Return how many readings up to a value these machines have."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """
            SELECT count(*)
            FROM machine JOIN series USING (machine) JOIN sample ON machine_id = machine.id
            WHERE machine.machine = ANY(%s) AND metric = %s AND sample.values[series.slot] <= %s
            """,
            (machines, metric, most),
        ).fetchone()
    assert row is not None
    return int(row[0])


def rejected(database_url: str) -> list[tuple[str, str, str, int]]:
    """Return (topic, reason, head, size) of every refusal."""
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT topic, reason, head, size_bytes FROM rejected ORDER BY id"
        ).fetchall()


def refusals_by_reason(database_url: str) -> Counter[str]:
    return Counter(reason for _, reason, _, _ in rejected(database_url))
