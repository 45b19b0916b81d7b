"""The embedded models, which ship inside the package, and how any model is found by its name."""

from start_sdk.models._embedded import BASE, DEFAULT, base_of, folder, names, outside
from start_sdk.models._finding import Source, find

__all__ = ["BASE", "DEFAULT", "Source", "base_of", "find", "folder", "names", "outside"]
