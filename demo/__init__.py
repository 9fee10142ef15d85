"""What the demo weights are trained on and tested with: scenes, photographs, and the changes made to them."""
