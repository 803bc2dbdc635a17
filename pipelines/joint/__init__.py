"""The joint model: it looks at a picture, says which instruments play, and separates them, trained as one network."""
