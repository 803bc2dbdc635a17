"""The classics that every network is held against: models as in `audio.separation_model`, and oracles, which are told
the answer.
"""
