"""What serving costs: latency and memory, with what a user would run instead measured in the same run."""
