"""PLACEHOLDER until helper "runs" writes this file (overwrite it)."""


def publish(record, reports_dir, records):  # type: ignore[no-untyped-def]
    pass
