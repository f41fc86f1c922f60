"""Fine-tune language models on multiple-choice questions, one comparable run at a time."""
