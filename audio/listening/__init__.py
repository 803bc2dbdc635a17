"""What networks that listen for instruments share: windows of streams, mel features, candidates; see `audio.tagger` and
`audio.activity_detector`."""
