"""What a network's form must not change: gates on pictures that no network was trained on."""
