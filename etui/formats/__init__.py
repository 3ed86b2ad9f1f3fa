"""Export formats: CSV tables, Chrome traces, and JSON that is safe to print."""
