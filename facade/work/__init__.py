"""What is asked of Triton: models, queues, jobs."""
