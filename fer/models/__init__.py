"""Networks in plain torch: they import nothing of ours and nothing of Lightning."""
