"""What a net withstands: spoiled faces and pictures, and other frames; of one net, or of several side by side."""
