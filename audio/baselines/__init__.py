"""The classics that every network is held against; each one is an `audio.separation_model.SeparationModel`."""
