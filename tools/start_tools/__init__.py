"""Tools that come with start_sdk; they are found through entry points, like anybody else's."""
