"""Objects of pictures: what calls do with the boxes that a detector finds.

`pipeline` has them found, for any call. What a detector is belongs in `service.detector`.
"""
