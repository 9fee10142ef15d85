"""The page for annotators at the size of a real data set."""
