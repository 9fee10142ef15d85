"""What a user would run instead of Concord: the same networks and pictures in other servers, and without a server."""
