"""`evalh collect`: receives what programs send over OpenTelemetry, and starts one of them."""
