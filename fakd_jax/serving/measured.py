"""Counts and times of requests, in Prometheus's text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

PATHS = frozenset({"/", "/health", "/predict", "/explain", "/report", "/metrics", "/openapi.json"})


class Measured:
    """Requests so far, in a registry of its own."""

    def __init__(self) -> None:
        """Starts at zero."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "fakd_requests", "Requests answered", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "fakd_request_seconds", "Time of a request", ["path"], registry=self._registry
        )

    def observe(self, path: str, status: int, seconds: float) -> None:
        """Counts an answer; paths that do not exist count as one."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def text(self) -> str:
        """What Prometheus reads."""
        return generate_latest(self._registry).decode()
