"""Tools that ship with start_sdk. They are found through entry points, like third-party tools."""
