"""Text towers: models that give texts vectors to compare with those of pictures.

`tokenizer` turns texts into numbers of tokens, and alone knows the package `tokenizers`. `two_towers` is the encoder of
kind "onnx" that has such a model beside the one for pictures. How a query may contain a text is decided in
`service.engine`.
"""
