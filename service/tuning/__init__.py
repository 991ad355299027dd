"""What a collection is told, or learns of itself: weights of the blocks, calibration of the scores, words for likeness.

`tuning` is what a collection keeps of it. `weights` chooses weights by cross-validation, `calibration` and `curve` turn
distances into scores, `thresholds` judges labelled pairs, and `tuner` reads a collection for them. A collection is
tuned by its own records alone. How a tuned search runs belongs in `service.engine`.
"""
