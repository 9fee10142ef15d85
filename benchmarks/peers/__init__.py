"""What a user would run instead of Concord: the same networks and the same pictures, in other servers and in none."""
