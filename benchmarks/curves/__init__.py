"""How costs grow along an axis: measurements at places, lines through them, and what the report says of both."""
