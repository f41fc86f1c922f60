"""What a run says of its measurements: tables, sentences, charts and the model card."""
