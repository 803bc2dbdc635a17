"""Telling settings and states from others by a short text."""

import hashlib
import json
from typing import Any


def fingerprint(content: Any) -> str:
    """SHA-256 of what JSON can hold, in hexadecimal; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()
