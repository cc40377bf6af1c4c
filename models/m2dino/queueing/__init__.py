"""In which order frames are worth a person's time: pure functions over what a prediction computes anyway."""
