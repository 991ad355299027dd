"""What `afterimage detectors add` does with an ONNX file that somebody brings, up to a folder with a manifest.

`graph` reads what the file takes and says of itself, `families` knows how families of detectors want their pictures,
`outputs_read` tells from a run what the outputs are, `proposal` makes a manifest of it all. `trial` tries the detector
on drawn scenes, `comparison` measures it beside others. What a detector does in the service belongs in
`service.detector`.
"""
