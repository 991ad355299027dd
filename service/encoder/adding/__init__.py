"""What `afterimage encoders add` does with an ONNX file that somebody brings, up to a folder with a manifest.

`picture_input` and `graph` read what the file takes and gives, `families` knows how families of models want their
pictures, `proposal` makes a manifest of both, `trial` tries the encoder on drawn pictures, `comparison` measures it on
an operator's own. `model_file` and `picture_input` serve detectors as well. What a loaded encoder does in the service
belongs in `service.encoder`.
"""
