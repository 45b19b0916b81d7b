"""The miniature: a small world of questions, and the pre-training of a base model on it."""
