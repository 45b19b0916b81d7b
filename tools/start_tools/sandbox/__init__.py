"""What runs inside the sandbox. Imports neither start_sdk nor the rest of start_tools."""
