"""Generated scenes, and photographs with changed foregrounds: pictures of which the truth is known."""
