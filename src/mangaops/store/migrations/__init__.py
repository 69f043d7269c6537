"""How the ledger database came to its present tables, step by step (Alembic)."""
