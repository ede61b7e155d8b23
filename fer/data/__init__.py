"""From the files that users have to batches: one reader per source, one table, one loader."""
