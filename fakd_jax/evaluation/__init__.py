"""What a checkpoint is worth: metrics with their intervals, tables, pictures, latency."""
