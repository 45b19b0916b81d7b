"""What a text says: pure functions and automata over characters and ids, used by every room."""
