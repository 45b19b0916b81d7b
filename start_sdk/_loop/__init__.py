"""One run of a session: think, pause, call or hint, splice, repeat. For session.py only."""
