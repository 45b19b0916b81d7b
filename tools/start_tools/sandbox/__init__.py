"""What runs inside the kernel's process. Imports neither start_sdk nor the rest of start_tools."""
