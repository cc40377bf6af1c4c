"""The dock and its sections: what a person sees and presses. No logic that a test would need a window for."""
