"""Quality on data in iHarmony4's layout: ``python -m benchmarks.quality``."""
