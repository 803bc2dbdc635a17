"""What networks that listen for instruments share: windows of streams, mel features, their first layers, candidates.

See `audio.tagger` and `audio.activity_detector`.
"""
