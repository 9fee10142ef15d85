"""What is kept in a database: SQLite in a file, or a server of PostgreSQL, MariaDB or MySQL."""
