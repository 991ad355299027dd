"""What clients saw of a service while it was disturbed, and whether a correct service could have answered so."""
