"""One run of a session: think, pause, call or hint, splice, repeat. Only session.py imports it."""
