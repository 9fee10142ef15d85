"""Many pictures on the nodes of a Ray cluster: folders, Parquet and buckets in; pictures and a Parquet table out.

A node has one Triton and one worker that keeps requests under way there. A row is done when its picture is there; what
is known of it is written before, so that a run which is killed goes on where it was.
"""
