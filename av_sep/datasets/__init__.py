"""Where sound and notes come from; nothing is read at import."""
