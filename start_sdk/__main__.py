"""`python -m start_sdk`: the same as the `start-sdk` command."""

from start_sdk.cli import main

main()
