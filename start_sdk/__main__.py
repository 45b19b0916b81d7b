"""`python -m start_sdk`: the same as the command `start-sdk`."""

from start_sdk.cli import main

main()
