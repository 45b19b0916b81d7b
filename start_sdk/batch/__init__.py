"""Batch runs: jobs, result rows, a crash-safe store, progress and exports."""

from start_sdk.batch._jobs import Work, config_hash, in_rounds, model_hash, run_batch
from start_sdk.batch._lines import read_json_lines, read_records
from start_sdk.batch._progress import BatchProgress, LiveTable, Tally
from start_sdk.batch._reading import read_rows
from start_sdk.batch._rows import (
    Job,
    Row,
    State,
    export_jsonl,
    export_parquet,
    fingerprint,
    sample_seed,
)
from start_sdk.batch._store import RowStore

__all__ = [
    "BatchProgress",
    "Job",
    "LiveTable",
    "Row",
    "RowStore",
    "State",
    "Tally",
    "Work",
    "config_hash",
    "export_jsonl",
    "export_parquet",
    "fingerprint",
    "in_rounds",
    "model_hash",
    "read_json_lines",
    "read_records",
    "read_rows",
    "run_batch",
    "sample_seed",
]
