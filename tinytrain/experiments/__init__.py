"""Many runs side by side: their results in one table."""
