"""What is measured and shown: metrics, pictures and the report."""
