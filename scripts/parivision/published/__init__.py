"""What a build publishes for the dashboard, and how it is asked: snapshots, filters, tallies, exports."""

from parivision.published.filters import Filters
from parivision.published.snapshots import Meta, Snapshot, Snapshots

__all__ = ["Filters", "Meta", "Snapshot", "Snapshots"]
