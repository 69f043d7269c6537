"""Runs the steps on the connection, and inside the transaction, that the caller hands over."""

from alembic import context

from mangaops.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
