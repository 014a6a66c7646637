"""The gateway's counters in Prometheus' text format."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.accounts import Accounts
from gateway.rejects import Rejects
from gateway.status import GatewayStatus


class _Gateway(Collector):
    def __init__(self, status: GatewayStatus, rejects: Rejects, accounts: Accounts) -> None:
        self._status = status
        self._rejects = rejects
        self._accounts = accounts

    def collect(self) -> Iterator[Metric]:
        counts = self._status.counts
        for name, text, value in (
            ("enms_messages", "Telemetry messages taken from the bus.", counts.messages),
            ("enms_readings_stored", "Readings committed to the database.", counts.readings),
            ("enms_readings_doubled", "Readings that were there already.", counts.doubles),
            ("enms_batches", "Transactions of ingest.", counts.batches),
            ("enms_retained_ignored", "Telemetry packets with the retain flag.", counts.retained_ignored),
            ("enms_again_ignored", "Messages without a time that were stored already.", counts.again_ignored),
            ("enms_logins_refused", "Log-ins refused.", self._accounts.refused),
        ):
            yield CounterMetricFamily(name, text, value=value)
        rejected = CounterMetricFamily("enms_rejected", "Messages or fields refused.", labels=["reason"])
        for reason, count in sorted(self._rejects.total.items()):
            rejected.add_metric([reason], count)
        yield rejected
        missing = GaugeMetricFamily(
            "enms_missing", "Numbered messages of a source that never came.", labels=["client"]
        )
        for client, count in sorted(self._status.missing().items()):
            missing.add_metric([client], count)
        yield missing
        up = GaugeMetricFamily("enms_dependency_up", "1 when the dependency answers.", labels=["dependency"])
        for dependency, state in self._status.dependencies().items():
            up.add_metric([dependency], float(state == "ok"))
        yield up


def exposition(status: GatewayStatus, rejects: Rejects, accounts: Accounts) -> bytes:
    """Return all counters as text."""
    registry = CollectorRegistry()
    registry.register(_Gateway(status, rejects, accounts))
    return generate_latest(registry)
