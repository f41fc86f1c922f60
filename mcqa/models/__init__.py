"""Models and tokenizers: loading, adapters, devices, sharding and memory."""
