"""What a net withstands: corrupted faces and pictures, and other frames; of one net, or of several side by side."""
