"""How costs grow along an axis: measurements at points, lines through them, and sentences of the report."""
