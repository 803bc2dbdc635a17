"""Pictures to labels: which instruments are seen, where, and how sure we are."""
