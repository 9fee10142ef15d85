"""The pages of those who have an account: results, the account, its keys, and administration; forms alone."""
