"""From annotations to a data set: cleaned, counted, and in the forms that others read."""
