"""What is trained on without choices: conversations, their checks, and the texts that they become."""
