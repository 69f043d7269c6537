"""Event store (SQL), artifacts and snapshots (files or S3), shadow logs."""
