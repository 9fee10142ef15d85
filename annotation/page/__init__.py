"""The page for annotators: HTML made on the server, one small script, and nothing from elsewhere."""
